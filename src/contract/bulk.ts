import Type, { type Static } from 'typebox'
import { Problem } from './problem.ts'
import { WriteAccepted } from './write-answers.ts'
import { WriteRequest } from './write.ts'

/** The most writes of one bulk call (contract section 5). */
export const MAX_BULK_WRITES = 1_000
/** Largest body of a bulk call, in bytes (contract section 3). */
export const MAX_BULK_BYTES = 32 * 1024 * 1024

/** Media types of a body with a write on each line; an answer is of the first. */
export const LINE_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'] as const

const { groupRef, type, autoBatchPolicy, retryPolicy, externalIdField, headers, ...others } =
  WriteRequest.properties
const { associations, options, reference, variables } = others

/** One write of a bulk call: the body of a single call, and what that one has in its path and its headers. */
export const BulkWrite = Type.Object(
  {
    groupRef,
    objectName: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The object to write to, as in the path of a single write call.',
      examples: ['Contact'],
    }),
    type,
    mode: Type.Optional(
      Type.Unsafe<'asynchronous'>({
        type: 'string',
        enum: ['asynchronous'],
        default: 'asynchronous',
        description: 'All writes of a bulk call are asynchronous.',
      }),
    ),
    record: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description:
        "The provider's field names and values. An update or a delete names its record by `id` or `Id`; a delete takes nothing else.",
      examples: [{ LastName: 'Ngata', Email: 'ngata@example.com' }],
    }),
    idempotencyKey: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'header-token',
        description:
          'As `Idempotency-Key` of a single call: a write that repeats an earlier one, of whichever call, is answered with its operation and not made again.',
        examples: ['order-4711-v2'],
      }),
    ),
    autoBatchPolicy,
    retryPolicy,
    externalIdField,
    headers,
    associations,
    options,
    reference,
    variables,
  },
  {
    additionalProperties: false,
    title: 'BulkWrite',
    examples: [
      {
        groupRef: 'customer-42',
        objectName: 'Contact',
        type: 'create',
        record: { LastName: 'Ngata' },
        autoBatchPolicy: { maxDelaySeconds: 2 },
      },
    ],
  },
)
export type BulkWrite = Static<typeof BulkWrite>

const bulkBody = { additionalProperties: false, title: 'BulkRequest' }

/** The body of a bulk call that is one JSON text. */
export const BulkRequest = Type.Object(
  { writes: Type.Array(BulkWrite, { maxItems: MAX_BULK_WRITES }) },
  bulkBody,
)

/** The same without a look at the writes, each of which is answered by itself. */
export const BulkEnvelope = Type.Object({ writes: Type.Array(Type.Unknown()) }, bulkBody)
export type BulkEnvelope = Static<typeof BulkEnvelope>

/** What became of one write of a bulk call. */
export const BulkResult = Type.Union(
  [
    WriteAccepted,
    Type.Object(
      { problem: Problem },
      {
        additionalProperties: false,
        title: 'WriteRefused',
        description: 'A write that was refused: nothing of it was written.',
      },
    ),
  ],
  { title: 'BulkResult' },
)

/** The answer to a bulk call that was one JSON text. */
export const BulkAnswer = Type.Object(
  { results: Type.Array(BulkResult, { description: 'One for each write, in the order of the request.' }) },
  { additionalProperties: false, title: 'BulkAnswer' },
)
