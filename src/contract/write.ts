import Type, { type Static } from 'typebox'
import { GroupRef, IntegrationPath } from './fields.ts'

/**
 * When and with what a single asynchronous write leaves (contract section 5). Exactly one of the two
 * delays is given.
 */
export const AutoBatchPolicy = Type.Object(
  {
    maxDelayMinutes: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 1440,
        description: 'Minutes until the write leaves at the latest.',
        examples: [5],
      }),
    ),
    maxDelaySeconds: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 86_400,
        description: 'The same in seconds; fractions allowed.',
        examples: [1.5],
      }),
    ),
    retryDeadlineHours: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 48,
        default: 1,
        description: 'Hours from acceptance until retries end.',
      }),
    ),
    maxRecords: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 100,
        description: 'The group leaves as soon as it holds this many.',
      }),
    ),
    allOrNone: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'One failing record undoes its group.',
      }),
    ),
    onRollback: Type.Optional(
      Type.Unsafe<'fail' | 'resend'>({
        type: 'string',
        enum: ['fail', 'resend'],
        default: 'fail',
        description:
          'What becomes of the others of an undone group: they fail with it, or are sent again without the offenders, three rounds at most.',
      }),
    ),
    merge: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'For updates and upserts: waiting writes of one record become one, later fields winning. Each keeps its own operation.',
      }),
    ),
  },
  {
    additionalProperties: false,
    title: 'AutoBatchPolicy',
    description: 'When and with what a single asynchronous write leaves; exactly one of the two delays.',
    examples: [{ maxDelaySeconds: 2 }],
  },
)

const RetryPolicy = Type.Object(
  {
    deadlineHours: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 48,
        default: 1,
        description: 'Hours from acceptance until retries end.',
      }),
    ),
  },
  {
    additionalProperties: false,
    title: 'RetryPolicy',
    description: 'For asynchronous writes; ignored with `autoBatchPolicy`.',
  },
)

const BatchEntry = Type.Object(
  {
    record: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description: 'As `record` of a single write.',
      examples: [{ LastName: 'Ngata' }],
    }),
    associations: Type.Optional(
      Type.Unknown({ description: 'For HubSpot only; refused for other providers.' }),
    ),
  },
  { additionalProperties: false, title: 'BatchEntry' },
)

const BatchPolicy = Type.Object(
  {
    allOrNone: Type.Optional(
      Type.Boolean({ default: false, description: 'One failing record undoes the whole batch.' }),
    ),
  },
  { additionalProperties: false, title: 'BatchPolicy', description: 'Only with `batch`.' },
)

/** The body of the write call. */
export const WriteRequest = Type.Object(
  {
    groupRef: GroupRef,
    type: Type.Unsafe<'create' | 'update' | 'upsert' | 'delete'>({
      type: 'string',
      enum: ['create', 'update', 'upsert', 'delete'],
      description: 'What to do with the record. A delete has to be enabled by the installation.',
      examples: ['create'],
    }),
    mode: Type.Optional(
      Type.Unsafe<'synchronous' | 'asynchronous'>({
        type: 'string',
        enum: ['synchronous', 'asynchronous'],
        default: 'synchronous',
        description:
          '`synchronous`: the answer is the outcome. `asynchronous`: the answer is an operation to follow, once the write is committed to the database.',
      }),
    ),
    record: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        additionalProperties: true,
        description:
          "The record: the provider's field names and values. An update or a delete names its record by `id` or `Id`; a delete takes nothing else. Exactly one of `record` and `batch` is given.",
        examples: [{ LastName: 'Ngata', Email: 'ngata@example.com' }],
      }),
    ),
    batch: Type.Optional(
      Type.Array(BatchEntry, {
        minItems: 1,
        maxItems: 100,
        description:
          'Up to 100 records that are written together and are one operation. No record may be named twice.',
        examples: [[{ record: { LastName: 'Ngata' } }, { record: { LastName: 'Moana' } }]],
      }),
    ),
    batchPolicy: Type.Optional(BatchPolicy),
    autoBatchPolicy: Type.Optional(AutoBatchPolicy),
    retryPolicy: Type.Optional(RetryPolicy),
    externalIdField: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'object-name',
        description: 'For `upsert`: the field whose value in `record` names the record.',
        examples: ['External_Id__c'],
      }),
    ),
    headers: Type.Optional(
      Type.Array(Type.Unsafe<{ key: string; value: string }>({ type: 'object' }), {
        description:
          "Headers for the provider, each `{key, value}`: Salesforce's write headers only. Writes with different headers never share a request.",
        examples: [[{ key: 'Sforce-Auto-Assign', value: 'FALSE' }]],
      }),
    ),
    associations: Type.Optional(
      Type.Unknown({ description: 'For HubSpot only; refused for other providers.' }),
    ),
    options: Type.Optional(
      Type.Unsafe<Record<string, boolean>>({
        type: 'object',
        description:
          'How the record is treated: `ignoreEmptyValues`, `runAssignmentRules`, `allowDuplicates`, and for creates and upserts `forceUpdateOnCollision`: where a duplicate rule finds exactly one record, that one is updated instead.',
        examples: [{ ignoreEmptyValues: true }],
      }),
    ),
    reference: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'line',
        description: "The caller's own id of the write; echoed.",
      }),
    ),
    variables: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description:
          'Values for `{{name}}` in the record: a field that is only a token takes the type of its value.',
        examples: [{ lastName: 'Ngata' }],
      }),
    ),
  },
  {
    additionalProperties: false,
    title: 'WriteRequest',
    examples: [
      {
        groupRef: 'customer-42',
        type: 'create',
        mode: 'asynchronous',
        record: { LastName: 'Ngata', Email: 'ngata@example.com' },
        autoBatchPolicy: { maxDelaySeconds: 2 },
      },
      {
        groupRef: 'customer-42',
        type: 'create',
        batch: [{ record: { LastName: 'Ngata' } }, { record: { LastName: 'Moana' } }],
        batchPolicy: { allOrNone: true },
      },
    ],
  },
)
export type WriteRequest = Static<typeof WriteRequest>

export const WritePath = Type.Interface([IntegrationPath], {
  object: Type.String({ description: 'The object to write to.' }),
})

/** Headers of the write call; their values are read by the call itself, with the body's issues. */
export const WriteHeaders = Type.Object({
  'request-timeout': Type.Optional(
    Type.String({
      description: 'Seconds that a synchronous call may take, 1 to 600, fractions allowed; 30 when absent.',
      examples: ['30'],
    }),
  ),
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'Names the call, 1 to 255 visible ASCII characters: the same key with the same request within a day answers as the first call did, with `Idempotency-Replayed: true`, and writes nothing.',
      examples: ['order-4711-v2'],
    }),
  ),
})
