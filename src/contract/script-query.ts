import Type, { type Static } from 'typebox'
import { QueryAnswer, QueryRequest } from './callers-reads.ts'
import { GroupRef } from './fields.ts'
import { echoed, echoes } from './records.ts'

/*
 * The query of scripts of iDialogue rooms (contract section 8): that of Callers, in the scripts' envelope.
 */

const { soql, nextRecordsUrl, variables } = QueryRequest.properties
const statement = "SELECT Id, Name, TotalAmount FROM Quote WHERE OpportunityId='006RM000004aBCDYA2' LIMIT 100"
const page = '/services/data/v67.0/query/01gRM000000LocAYAS-2000'

/** What is asked. */
export const ScriptQuery = Type.Object(
  {
    groupRef: Type.Optional(GroupRef),
    query: Type.Optional({ ...soql, examples: [statement] } as typeof soql),
    nextRecordsUrl: Type.Optional({
      ...nextRecordsUrl,
      description: 'In place of `query`: asks for the next page, with the value of the page before.',
    } as typeof nextRecordsUrl),
    ...echoed,
    variables,
  },
  {
    additionalProperties: false,
    title: 'ScriptQuery',
    examples: [
      { groupRef: 'customer-42', roomId: 'a0BRM0000001234', query: statement },
      { groupRef: 'customer-42', nextRecordsUrl: page },
    ],
  },
)
export type ScriptQuery = Static<typeof ScriptQuery>

/** One page of the rows. */
export const ScriptPage = Type.Object(
  {
    success: Type.Literal(true),
    message: Type.Null(),
    errors: Type.Array(Type.String(), { maxItems: 0, description: 'None.' }),
    ...echoes,
    ...QueryAnswer.properties,
  },
  {
    title: 'ScriptPage',
    description: 'One page of the rows, in the shape in which scripts read it.',
    examples: [
      {
        success: true,
        message: null,
        errors: [],
        roomId: 'a0BRM0000001234',
        totalSize: 1,
        done: true,
        records: [
          {
            attributes: { type: 'Quote', url: '/services/data/v67.0/sobjects/Quote/0Q0RM00000045670AA' },
            Id: '0Q0RM00000045670AA',
            Name: '12 seats',
            TotalAmount: 1450.5,
          },
        ],
      },
    ],
  },
)
export type ScriptPage = Static<typeof ScriptPage>

/** The answer of a query that brought nothing. */
export const ScriptRefusal = Type.Object(
  {
    success: Type.Literal(false),
    message: Type.String({ description: 'What went wrong, in a sentence.' }),
    errors: Type.Array(Type.String(), {
      description: 'All that went wrong, each with the place in the request: a JSON pointer.',
    }),
    ...echoes,
    records: Type.Array(Type.Unknown(), { maxItems: 0, description: 'None.' }),
    code: Type.String({ description: 'The code of the error.' }),
  },
  {
    additionalProperties: false,
    title: 'ScriptRefusal',
    examples: [
      {
        success: false,
        message: 'The body is invalid: /query must begin with SELECT: only queries are run.',
        errors: ['/query must begin with SELECT: only queries are run'],
        roomId: 'a0BRM0000001234',
        records: [],
        code: 'INVALID_REQUEST',
      },
    ],
  },
)
export type ScriptRefusal = Static<typeof ScriptRefusal>
