import Type, { type Static } from 'typebox'
import { GroupRef, Id } from './fields.ts'
import { OperationError } from './operation.ts'
import { WriteRequest } from './write.ts'

/*
 * The records call as scripts of iDialogue rooms know it (contract section 8).
 */

/** The most records of one call. */
export const MAX_RECORDS = 2_000

/** Text that scripts may also give as null, which is the same as leaving it out. */
const textOrNull = (maxLength: number, description: string, examples: string[] = []) =>
  Type.Optional(
    Type.Unsafe<string | null>({
      type: ['string', 'null'],
      maxLength,
      description,
      ...(examples.length > 0 && { examples }),
    }),
  )

/** What scripts say of where they run. */
export const echoed = {
  orgId: textOrNull(255, 'Echoed.'),
  roomId: textOrNull(255, 'Echoed.'),
  origin: textOrNull(2_048, 'Echoed.'),
}

const Fields = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  description: 'Values by field name. Texts are what scripts send; the org converts them.',
  examples: [{ StageName: 'Negotiation' }],
})

const ScriptRecord = Type.Object(
  {
    id: textOrNull(255, 'The record: required for UPDATE. For UPSERT see the call.', ['006RM000005AbCdYAK']),
    type: textOrNull(255, 'The object once more; it must be that of the call.', ['Opportunity']),
    name: textOrNull(255, 'The Name of a record that is inserted or upserted; of an UPDATE only echoed.', [
      'Acme: 12 seats',
    ]),
    fields: Type.Optional(Fields),
  },
  { additionalProperties: false, title: 'ScriptRecord' },
)

/** What is written with, and to what. */
export const RecordsRequest = Type.Object(
  {
    groupRef: Type.Optional(GroupRef),
    method: Type.Unsafe<'INSERT' | 'UPDATE' | 'UPSERT'>({
      type: 'string',
      enum: ['INSERT', 'UPDATE', 'UPSERT'],
      description: 'What to do with the records.',
    }),
    type: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The object, by its own name or by that which the installation maps to it.',
      examples: ['Opportunity'],
    }),
    externalField: textOrNull(
      255,
      'For UPSERT, and required there: the field whose value names the record. With `Id`, records are updated by their ids.',
      ['External_Id__c'],
    ),
    records: Type.Array(ScriptRecord, {
      minItems: 1,
      maxItems: MAX_RECORDS,
      description: `Up to ${MAX_RECORDS.toLocaleString('en')} records, which are one operation. No record may be named twice.`,
    }),
    storedProcedure: textOrNull(
      255,
      "A procedure of the object in the installation's configuration: it says which fields may be given, which are set, and how is written.",
      ['SelectQuote'],
    ),
    ...echoed,
    mode: WriteRequest.properties.mode,
    variables: WriteRequest.properties.variables,
    reference: WriteRequest.properties.reference,
  },
  {
    additionalProperties: false,
    title: 'RecordsRequest',
    examples: [
      {
        groupRef: 'customer-42',
        method: 'UPDATE',
        type: 'Opportunity',
        records: [
          {
            id: '006RM000005AbCdYAK',
            type: 'Opportunity',
            fields: { CustomerSelectedQuote__c: '0Q0RM00000045670AA' },
          },
        ],
      },
    ],
  },
)
export type RecordsRequest = Static<typeof RecordsRequest>

export const RecordsQuery = Type.Object(
  {
    groupRef: Type.Optional(
      Type.String({ description: 'The same as in the body, which may then leave it out.' }),
    ),
  },
  { additionalProperties: false },
)

const asGiven = { description: 'As given.' }
/** The same in an answer. */
export const echoes = {
  orgId: Type.Optional(Type.Unknown(asGiven)),
  roomId: Type.Optional(Type.Unknown(asGiven)),
  origin: Type.Optional(Type.Unknown(asGiven)),
}

const RecordsResult = Type.Object(
  {
    id: Type.Optional(Type.Unknown({ description: 'Of a record that was written, its 18-character id.' })),
    type: Type.Optional(Type.Unknown(asGiven)),
    name: Type.Optional(Type.Unknown(asGiven)),
    fields: Type.Optional(Type.Unknown(asGiven)),
    success: Type.Boolean(),
    message: Type.Union([Type.String(), Type.Null()], {
      description:
        'Why it was not written. Of one that was: null, or that its key names another record than its id.',
    }),
    errors: Type.Optional(
      Type.Array(OperationError, { description: "The provider's errors, of a record that it refused." }),
    ),
  },
  { title: 'RecordsResult' },
)

/** The answer, whatever came of the call. */
export const RecordsAnswer = Type.Object(
  {
    success: Type.Boolean({ description: 'Whether every record was written.' }),
    message: Type.Union([Type.String(), Type.Null()], { description: 'What went wrong, in a sentence.' }),
    errors: Type.Array(Type.String(), {
      description: 'All that went wrong, each with the place in the request: a JSON pointer.',
    }),
    ...echoes,
    storedProcedure: Type.Optional(Type.Unknown(asGiven)),
    method: Type.Optional(Type.Unknown(asGiven)),
    type: Type.Optional(Type.Unknown(asGiven)),
    records: Type.Array(RecordsResult, { description: 'In the order of the request.' }),
    operationId: Type.Optional(Id),
    code: Type.Optional(Type.String({ description: 'Of a call without an outcome, the code of its error.' })),
  },
  {
    additionalProperties: false,
    title: 'RecordsAnswer',
    description: 'What came of the call, in the shape in which scripts read it.',
    examples: [
      {
        success: true,
        message: null,
        errors: [],
        method: 'UPDATE',
        type: 'Opportunity',
        records: [
          {
            id: '006RM000005AbCdYAK',
            type: 'Opportunity',
            fields: { CustomerSelectedQuote__c: '0Q0RM00000045670AA' },
            success: true,
            message: null,
          },
        ],
        operationId: '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
      },
    ],
  },
)
export type RecordsAnswer = Static<typeof RecordsAnswer>
