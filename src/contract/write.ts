import Type, { type Static } from 'typebox'
import { GroupRef, Id, IntegrationPath, notSupportedYet } from './fields.ts'

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
        description: 'Waiting writes of one record become one. `true` is not supported yet.',
      }),
    ),
  },
  { additionalProperties: false, title: 'AutoBatchPolicy', examples: [{ maxDelaySeconds: 2 }] },
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
  { additionalProperties: false, title: 'RetryPolicy' },
)

const BatchEntry = Type.Object(
  {
    record: Type.Record(Type.String(), Type.Unknown()),
    associations: Type.Optional(Type.Array(Type.Unknown())),
  },
  { additionalProperties: false },
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
        description: 'Only `asynchronous` is supported yet.',
      }),
    ),
    record: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        additionalProperties: true,
        description:
          "The record: the provider's field names and values. An update names its record by `id` or `Id`.",
        examples: [{ LastName: 'Ngata', Email: 'ngata@example.com' }],
      }),
    ),
    batch: Type.Optional(
      Type.Array(BatchEntry, {
        minItems: 1,
        maxItems: 100,
        description: 'Several records in one call. Not supported yet.',
      }),
    ),
    batchPolicy: notSupportedYet('How a `batch` is written.'),
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
          'How the record is treated: `ignoreEmptyValues`, `runAssignmentRules`, `allowDuplicates`; `forceUpdateOnCollision: true` is not supported yet.',
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
    ],
  },
)
export type WriteRequest = Static<typeof WriteRequest>

/** The answer to an accepted asynchronous write. */
export const WriteAccepted = Type.Object(
  { operationId: Id },
  {
    additionalProperties: false,
    title: 'WriteAccepted',
    description: 'The write is committed to the database.',
  },
)
export type WriteAccepted = Static<typeof WriteAccepted>

export const WritePath = Type.Interface([IntegrationPath], {
  object: Type.String({ description: 'The object to write to.' }),
})
