import Type, { type Static } from 'typebox'
import { Id, Name, ProjectPath, Time } from './fields.ts'

const Url = Type.String({
  minLength: 1,
  maxLength: 2_048,
  description:
    'Where notifications are posted: https, and no loopback or private address unless the service is set to allow them. Without user, password and fragment.',
  examples: ['https://hooks.acme.example/writeback'],
})

const Digest = Type.Object(
  {
    maxRecords: Type.Integer({
      minimum: 1,
      maximum: 100,
      description: 'The most events of one call; it leaves at once when there are so many.',
    }),
    maxDelaySeconds: Type.Integer({
      minimum: 0,
      maximum: 3_600,
      description: 'The longest that an event waits for others.',
    }),
  },
  { additionalProperties: false, title: 'Digest', examples: [{ maxRecords: 100, maxDelaySeconds: 10 }] },
)

const webhook = Type.Unsafe<'webhook'>({ type: 'string', enum: ['webhook'] })

const NewMetadata = Type.Object(
  {
    url: Url,
    digest: Type.Optional(Digest),
  },
  { additionalProperties: false, description: 'Without `digest`, every event is a call of its own.' },
)

export const NewDestination = Type.Object(
  { name: Name, type: webhook, metadata: NewMetadata },
  {
    additionalProperties: false,
    title: 'NewDestination',
    examples: [
      { name: 'outcomes', type: 'webhook', metadata: { url: 'https://hooks.acme.example/writeback' } },
    ],
  },
)
export type NewDestination = Static<typeof NewDestination>

export const DestinationUpdate = Type.Object(
  {
    name: Type.Optional(Name),
    metadata: Type.Optional(
      Type.Object(
        { url: Type.Optional(Url), digest: Type.Optional(Type.Union([Digest, Type.Null()])) },
        { additionalProperties: false, minProperties: 1 },
      ),
    ),
    enabled: Type.Optional(
      Type.Boolean({
        description:
          'Switched off, it is told of nothing that ends meanwhile. Switched on, what waited for it leaves.',
      }),
    ),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    title: 'DestinationUpdate',
    description: 'What is given replaces what was there; a `digest` of null ends digests.',
    examples: [{ enabled: true }],
  },
)
export type DestinationUpdate = Static<typeof DestinationUpdate>

const properties = {
  id: Id,
  name: Name,
  type: webhook,
  metadata: NewMetadata,
  enabled: Type.Boolean({ description: 'Whether it is told of what ends now.' }),
  disabledReason: Type.Optional(
    Type.Unsafe<'by_hand' | 'failing' | 'receiver_gone'>({
      type: 'string',
      enum: ['by_hand', 'failing', 'receiver_gone'],
      description:
        'Why it is switched off: `by_hand`; `failing`: every attempt failed for 24 hours; `receiver_gone`: the receiver answered 410. Absent while it is on.',
    }),
  ),
  disabledTime: Type.Optional(Type.String({ ...Time, description: 'Since when it is switched off.' })),
  createTime: Time,
}

/** Where a project's notifications go (contract section 4). */
export const Destination = Type.Object(properties, { title: 'Destination' })
export type Destination = Static<typeof Destination>

const secret = Type.String({
  description:
    'Signs every notification (Standard Webhooks, `whsec_…`): shown this once and kept only encrypted.',
})

export const CreatedDestination = Type.Object({ ...properties, secret }, { title: 'CreatedDestination' })
export type CreatedDestination = Static<typeof CreatedDestination>

export const RotatedDestination = Type.Object(
  {
    ...properties,
    secret,
    oldSecretUntil: Type.String({ ...Time, description: 'Until then the secret before it signs too.' }),
  },
  { title: 'RotatedDestination' },
)
export type RotatedDestination = Static<typeof RotatedDestination>

export const DestinationTest = Type.Object(
  {
    delivered: Type.Boolean({ description: 'Whether the receiver took it: a 2xx answer.' }),
    id: Type.String({ ...Id, description: 'The `webhook-id` that it was sent with.' }),
    status: Type.Optional(
      Type.Integer({ description: "The receiver's status; absent when there was no answer." }),
    ),
    body: Type.Optional(Type.String({ description: "The beginning of the receiver's answer." })),
    error: Type.Optional(Type.String({ description: 'Why it was not delivered.' })),
    durationMs: Type.Integer(),
  },
  { title: 'DestinationTest' },
)
export type DestinationTest = Static<typeof DestinationTest>

/** A message in the log of a destination. */
export const Delivery = Type.Object(
  {
    id: Type.String({
      ...Id,
      description: "The message's `webhook-id`, the same for every attempt.",
    }),
    operationIds: Type.Array(Id, { description: 'The operations that it tells of; several in a digest.' }),
    digest: Type.Boolean(),
    state: Type.Unsafe<'pending' | 'sending' | 'delivered' | 'failed'>({
      type: 'string',
      enum: ['pending', 'sending', 'delivered', 'failed'],
      description:
        '`pending`: waits for its first or next attempt; `sending`: an attempt is under way; `delivered`: the receiver took it; `failed`: given up after 24 hours of attempts.',
    }),
    attempts: Type.Integer({ description: 'Attempts begun.' }),
    lastAttemptTime: Type.Optional(Time),
    lastStatus: Type.Optional(Type.Integer({ description: "The receiver's status in the last attempt." })),
    lastError: Type.Optional(Type.String({ description: 'Why the last attempt failed.' })),
    nextAttemptTime: Type.Optional(
      Type.String({
        ...Time,
        description: 'When it is due; absent while its destination is switched off.',
      }),
    ),
    createTime: Type.String({ ...Time, description: 'When the operation ended.' }),
    endTime: Type.Optional(Type.String({ ...Time, description: 'When it was delivered or given up.' })),
  },
  { title: 'Delivery' },
)
export type Delivery = Static<typeof Delivery>

export const DestinationPath = Type.Interface([ProjectPath], {
  id: Type.String({ description: 'Id of the destination.' }),
})
