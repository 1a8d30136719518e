import Type, { type Static } from 'typebox'
import { Id, PageQuery, ProjectPath, Time } from './fields.ts'

/** One error of the provider. */
export const OperationError = Type.Object({
  code: Type.String({ examples: ['REQUIRED_FIELD_MISSING'] }),
  message: Type.String(),
  fields: Type.Array(Type.String()),
})

const nullable = <T extends ReturnType<typeof Type.String>>(schema: T) => Type.Union([schema, Type.Null()])

/** A write, or a caller-built batch, and what became of it (contract section 7). */
export const Operation = Type.Object(
  {
    id: Id,
    projectId: Id,
    integrationId: Id,
    installationId: Id,
    configId: Id,
    actionType: Type.Literal('write'),
    resource: Type.String({ description: 'The object written to.', examples: ['Contact'] }),
    status: Type.Unsafe<'in_progress' | 'success' | 'failure'>({
      type: 'string',
      enum: ['in_progress', 'success', 'failure'],
      description:
        'success when at least one record was written; failure also when the outcome is unknown or the write was cancelled: see metadata.state.',
    }),
    result: Type.String({ description: 'What came of it, in a sentence.' }),
    createTime: Time,
    updateTime: Time,
    metadata: Type.Object({
      objects: Type.Array(Type.String()),
      retry: Type.Object({
        attempts: Type.Integer({
          description:
            'Provider calls made; of a batch, the most of any record. Calls that a limit of the org turned away are not counted.',
        }),
        lastAttempt: nullable(Time),
        nextAttempt: nullable(Time),
      }),
      successfulRecordIds: Type.Array(Type.String()),
      reference: Type.Optional(Type.String()),
      state: Type.Unsafe<string>({
        type: 'string',
        enum: ['queued', 'sending', 'succeeded', 'partial', 'failed', 'in_doubt', 'cancelled'],
        description: '`partial`: of a batch, some records were written and some were not.',
      }),
      batchId: Type.Optional(Id),
      records: Type.Array(
        Type.Object({
          index: Type.Integer(),
          success: Type.Boolean(),
          recordId: Type.Optional(Type.String()),
          created: Type.Optional(Type.Boolean()),
          merged: Type.Optional(
            Type.Boolean({ description: 'Sent as one with other waiting writes to the same record.' }),
          ),
          errors: Type.Array(OperationError),
        }),
      ),
    }),
  },
  { title: 'Operation' },
)
export type Operation = Static<typeof Operation>

/** One line of an operation's log. */
export const OperationLog = Type.Object(
  {
    timestamp: Time,
    severity: Type.Unsafe<'info' | 'warning' | 'error'>({
      type: 'string',
      enum: ['info', 'warning', 'error'],
    }),
    message: Type.Unsafe<{ msg: string } & Record<string, unknown>>({
      type: 'object',
      required: ['msg'],
      properties: { msg: { type: 'string' } },
      additionalProperties: true,
    }),
  },
  { title: 'OperationLog' },
)
export type OperationLog = Static<typeof OperationLog>

export const OperationPath = Type.Interface([ProjectPath], {
  operation: Type.String({ description: 'Id of the operation.' }),
})

export const OperationQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 60,
        description: 'Seconds to wait for the operation to end before answering.',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Which operations of an installation are listed. */
export const OperationsQuery = Type.Interface(
  [PageQuery],
  {
    status: Type.Optional(
      Type.Unsafe<'in_progress' | 'success' | 'failure'>({
        type: 'string',
        enum: ['in_progress', 'success', 'failure'],
        description: 'Only operations of this status.',
      }),
    ),
    objectName: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'object-name',
        description:
          "Only operations on this object, named as in the write's path. A page may then hold fewer operations than asked for, even none, before the last: `pagination.done` says which that is.",
        examples: ['Contact'],
      }),
    ),
    reference: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'line',
        description: "Only operations with this reference, the caller's own id of the write.",
        examples: ['row-17'],
      }),
    ),
    movedAfter: Type.Optional(
      Type.String({
        maxLength: 64,
        format: 'date-time',
        description:
          'Only operations that somebody sent again, settled or cancelled by hand (`:retry`, `:resolve`, `:cancel`) after this time, by the clock of the database. Not together with `status`, `objectName` or `reference`. A page may then hold fewer operations than asked for, even none, before the last.',
        examples: ['2026-08-01T12:00:00.000Z'],
      }),
    ),
  },
  { additionalProperties: false },
)
export type OperationsQuery = Static<typeof OperationsQuery>

/** The most operations that one call gets by id. */
export const MAX_BATCH_GET = 1000

export const BatchGetRequest = Type.Object(
  {
    ids: Type.Array(Type.String({ maxLength: 255, examples: ['0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'] }), {
      maxItems: MAX_BATCH_GET,
      description: 'Ids of operations of the project. One that is given twice is answered once.',
    }),
  },
  {
    additionalProperties: false,
    title: 'BatchGetRequest',
    examples: [{ ids: ['0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'] }],
  },
)
export type BatchGetRequest = Static<typeof BatchGetRequest>

export const BatchGetAnswer = Type.Object(
  {
    operations: Type.Array(Operation, { description: 'Those that are there, in the order asked for.' }),
    missing: Type.Array(Type.String(), {
      description: 'Ids, as given, that are no operations of the project.',
    }),
  },
  { title: 'BatchGetAnswer' },
)
export type BatchGetAnswer = Static<typeof BatchGetAnswer>
