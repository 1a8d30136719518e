import Type, { type Static } from 'typebox'
import { Id } from './fields.ts'
import { OperationError } from './operation.ts'

/*
 * The answers of the write call (contract section 5). Their keys are exactly these: clients are generated
 * from Ampersand's own description of them.
 */

const exact = { additionalProperties: false }

const OPERATION_ID = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
const RECORD_ID = '003RM000006EncrYAC'
const missing = {
  message: 'Required fields are missing: [LastName]',
  code: 'REQUIRED_FIELD_MISSING',
  fields: ['LastName'],
}
const created = { id: RECORD_ID, success: true, errors: [] }

/** The answer to an accepted asynchronous write. */
export const WriteAccepted = Type.Object(
  { operationId: Id },
  {
    ...exact,
    title: 'WriteAccepted',
    description: 'An asynchronous write: it is committed to the database.',
    examples: [{ operationId: OPERATION_ID }],
  },
)
export type WriteAccepted = Static<typeof WriteAccepted>

const RecordId = Type.String({ description: "The provider's id of the record.", examples: [RECORD_ID] })
const ProviderData = Type.Unknown({ description: "The provider's own result." })

/** A synchronous write of one record that was made. */
export const WriteSucceeded = Type.Object(
  {
    operationId: Id,
    result: Type.Object(
      { success: Type.Literal(true), recordId: Type.Optional(RecordId), data: ProviderData },
      exact,
    ),
  },
  {
    ...exact,
    title: 'WriteSucceeded',
    description: 'A synchronous write of one record.',
    examples: [{ operationId: OPERATION_ID, result: { success: true, recordId: RECORD_ID, data: created } }],
  },
)
export type WriteSucceeded = Static<typeof WriteSucceeded>

/** A synchronous write of one record that the provider refused. */
export const WriteFailed = Type.Object(
  {
    operationId: Id,
    errors: Type.Array(OperationError),
    result: Type.Object({ success: Type.Literal(false) }, exact),
    rawResponse: Type.Optional(Type.Unknown({ description: "The provider's own word, where it gave one." })),
  },
  {
    ...exact,
    title: 'WriteFailed',
    description: 'A synchronous write of one record that was not made.',
    examples: [{ operationId: OPERATION_ID, errors: [missing], result: { success: false } }],
  },
)
export type WriteFailed = Static<typeof WriteFailed>

const BatchResult = Type.Object(
  {
    success: Type.Boolean(),
    recordId: Type.Optional(RecordId),
    data: Type.Optional(
      Type.Unknown({ description: "The provider's own result; of a failed record its `errors`." }),
    ),
  },
  { ...exact, title: 'BatchResult' },
)

/** A synchronous write of a batch, in the order of the request. */
export const BatchAnswer = Type.Object(
  {
    operationId: Id,
    results: Type.Array(BatchResult),
    successCount: Type.Integer({ minimum: 0 }),
    failureCount: Type.Integer({ minimum: 0 }),
    errors: Type.Optional(
      Type.Array(OperationError, { description: 'Those of all failed records; absent when none failed.' }),
    ),
  },
  {
    ...exact,
    title: 'BatchAnswer',
    description: 'A synchronous write of a batch; 422 when no record of it was written.',
    examples: [
      {
        operationId: OPERATION_ID,
        results: [
          { success: true, recordId: RECORD_ID, data: created },
          { success: false, data: { errors: [missing] } },
        ],
        successCount: 1,
        failureCount: 1,
        errors: [missing],
      },
    ],
  },
)
export type BatchAnswer = Static<typeof BatchAnswer>

/** The outcome of a synchronous write. */
export type WriteAnswer = WriteSucceeded | WriteFailed | BatchAnswer
