import Type, { type Static } from 'typebox'
import { GroupRef, Id } from './fields.ts'
import { OperationError } from './operation.ts'

/** What is told of an operation that has ended (contract section 7), as it was when it ended. */
export const WriteDone = Type.Object(
  {
    projectId: Id,
    provider: Type.String({ examples: ['salesforce'] }),
    integrationId: Id,
    integrationName: Type.String({ examples: ['crm'] }),
    installationId: Id,
    connectionId: Id,
    groupRef: GroupRef,
    objectName: Type.String({ description: 'As the caller named it.', examples: ['Contact'] }),
    success: Type.Boolean({ description: "Whether any record was written: the operation's `status`." }),
    successfulRecordIds: Type.Array(Type.String({ examples: ['003RM000006EncrYAC'] })),
    errors: Type.Array(OperationError, {
      description: "Of all the records that were not written, in the caller's order.",
    }),
    operationId: Id,
    reference: Type.Optional(
      Type.String({
        description: "The caller's own id of the write, where it gave one.",
        examples: ['row-17'],
      }),
    ),
  },
  { title: 'WriteDone' },
)
export type WriteDone = Static<typeof WriteDone>

const written: WriteDone = {
  projectId: '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
  provider: 'salesforce',
  integrationId: '0197a3b2-7d20-7c52-9a53-0d3f5f2b8c12',
  integrationName: 'crm',
  installationId: '0197a3b2-8e31-7c52-9a53-0d3f5f2b8c13',
  connectionId: '0197a3b2-9f42-7c52-9a53-0d3f5f2b8c14',
  groupRef: 'customer-42',
  objectName: 'Contact',
  success: true,
  successfulRecordIds: ['003RM000006EncrYAC'],
  errors: [],
  operationId: '0197a3b3-0053-7c52-9a53-0d3f5f2b8c15',
  reference: 'row-17',
}
const refused: WriteDone = {
  ...written,
  success: false,
  successfulRecordIds: [],
  errors: [
    {
      code: 'REQUIRED_FIELD_MISSING',
      message: 'Required fields are missing: [LastName]',
      fields: ['LastName'],
    },
  ],
  operationId: '0197a3b3-0164-7c52-9a53-0d3f5f2b8c16',
  reference: 'row-18',
}

/** A notification of one operation. */
export const WriteDoneEvent = Type.Object(
  { notificationType: Type.Literal('write.async.done'), data: WriteDone },
  { title: 'WriteDoneEvent', examples: [{ notificationType: 'write.async.done', data: written }] },
)
export type WriteDoneEvent = Static<typeof WriteDoneEvent>

/** A notification of several operations, to a destination with digests. */
export const WriteDoneDigest = Type.Object(
  {
    notificationType: Type.Literal('write.async.done.digest'),
    data: Type.Array(WriteDone, { minItems: 1, maxItems: 100 }),
  },
  {
    title: 'WriteDoneDigest',
    examples: [{ notificationType: 'write.async.done.digest', data: [written, refused] }],
  },
)
export type WriteDoneDigest = Static<typeof WriteDoneDigest>

/** What a destination is sent to see whether messages arrive. */
export const DestinationTestEvent = Type.Object(
  {
    notificationType: Type.Literal('destination.test'),
    data: Type.Object({
      projectId: Id,
      destinationId: Id,
      destinationName: Type.String({ examples: ['outcomes'] }),
    }),
  },
  { title: 'DestinationTestEvent' },
)
export type DestinationTestEvent = Static<typeof DestinationTestEvent>

/** The headers that every notification is sent with (Standard Webhooks). */
export const NotificationHeaders = Type.Object({
  'webhook-id': Type.String({
    description: 'Id of the message, the same for every attempt: a message may come twice.',
    examples: ['0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'],
  }),
  'webhook-timestamp': Type.String({
    pattern: String.raw`^\d+$`,
    description:
      'Seconds since 1970 at which this attempt was signed: refuse what is more than 5 minutes off.',
    examples: ['1785585600'],
  }),
  'webhook-signature': Type.String({
    pattern: String.raw`^v1,\S+( v1,\S+)*$`,
    description:
      "`v1,` and the base64 of HMAC-SHA-256 over `webhook-id.webhook-timestamp.body` by the destination's secret. For 24 hours after the secret was rotated there are two, apart by a space: one that fits is enough.",
    examples: ['v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4='],
  }),
})
