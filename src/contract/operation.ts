import Type, { type Static } from 'typebox'
import { Id, ProjectPath, Time } from './fields.ts'

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
