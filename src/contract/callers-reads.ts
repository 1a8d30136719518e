import Type, { type Static } from 'typebox'
import { GroupRef } from './fields.ts'
import { WriteRequest } from './write.ts'

/*
 * The actions of Callers that are answered by the provider at once (contract section 8): a query, and a call
 * of its API that its caller makes up.
 */

const { variables } = WriteRequest.properties
const exact = { additionalProperties: false }

/** `/actions/query`. */
export const QueryRequest = Type.Object(
  {
    groupRef: GroupRef,
    soql: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 14_000,
        description:
          'One SELECT, of at most 14,000 characters percent-encoded. Variables within quotes are put in as escaped text; outside of quotes as a literal of their type: a number, true, false, null, a date or date-time, any other text in quotes.',
        examples: ["SELECT Id, FirstName, LastName, Email FROM Contact WHERE Email = '{{ email }}'"],
      }),
    ),
    nextRecordsUrl: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'In place of `soql`: asks for the next page, with the value of the page before.',
        examples: ['/services/data/v67.0/query/01gRM000000LocAYAS-2000'],
      }),
    ),
    variables,
  },
  {
    ...exact,
    title: 'QueryRequest',
    examples: [
      {
        groupRef: 'customer-42',
        soql: "SELECT Id, FirstName, LastName, Email FROM Contact WHERE Email = '{{ email }}'",
        variables: { email: 'ngata@example.com' },
      },
      { groupRef: 'customer-42', nextRecordsUrl: '/services/data/v67.0/query/01gRM000000LocAYAS-2000' },
    ],
  },
)
export type QueryRequest = Static<typeof QueryRequest>

/** One page of a query. */
export const QueryAnswer = Type.Object(
  {
    totalSize: Type.Integer({ description: 'Rows of the whole query.', examples: [1] }),
    done: Type.Boolean({ description: 'Whether this is the last page.', examples: [true] }),
    records: Type.Array(
      Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }),
      {
        description: 'The rows as the provider gives them.',
        examples: [
          [
            {
              attributes: {
                type: 'Contact',
                url: '/services/data/v67.0/sobjects/Contact/003RM000006EncrYAC',
              },
              Id: '003RM000006EncrYAC',
              FirstName: 'Ada',
              LastName: 'Ngata',
              Email: 'ngata@example.com',
            },
          ],
        ],
      },
    ),
    nextRecordsUrl: Type.Optional(
      Type.String({ description: 'Asks for the next page; absent on the last one.' }),
    ),
  },
  { title: 'QueryAnswer', description: 'One page of the rows.' },
)

/** The methods of a custom call. */
export const callMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
type CallMethod = (typeof callMethods)[number]

/** `/actions/custom-api-call`. */
export const CustomCallRequest = Type.Object(
  {
    groupRef: GroupRef,
    method: Type.Unsafe<CallMethod>({
      type: 'string',
      enum: [...callMethods],
      description: 'GET and HEAD need a key that may read; any other method one that may read and write.',
      examples: ['GET'],
    }),
    endpoint: Type.String({
      minLength: 1,
      maxLength: 16_000,
      description:
        "A path of the connected instance's own REST API: below the API version (`/sobjects/Account`), or from `/services/data/` or `/services/apexrest/` on. Percent-encoded; a variable's value is percent-encoded as it is put in.",
      examples: ['/sobjects/Account/001RM000003oLruYAE'],
    }),
    headers: Type.Optional(
      Type.Unsafe<Record<string, string>>({
        type: 'object',
        description:
          'Headers by name: `Accept`, `Content-Type`, `If-…`, `Prefer`, `Sforce-…` and `X-…`. Those that stand for a session, a host or a connection are refused by name.',
        examples: [{ 'Sforce-Auto-Assign': 'FALSE' }],
      }),
    ),
    body: Type.Optional(
      Type.Unknown({
        description:
          'The body: any JSON value, or the JSON text of one. With a `Content-Type` that is not JSON, text that is sent as it is.',
        examples: [{ Name: '{{ accountName }}', Website: '{{ website }}' }],
      }),
    ),
    variables,
  },
  {
    ...exact,
    title: 'CustomCallRequest',
    examples: [
      { groupRef: 'customer-42', method: 'GET', endpoint: '/limits' },
      {
        groupRef: 'customer-42',
        method: 'PATCH',
        endpoint: '/sobjects/Account/{{ accountId }}',
        body: { Name: '{{ accountName }}', Website: '{{ website }}' },
        variables: {
          accountId: '001RM000003oLruYAE',
          accountName: 'Acme',
          website: 'https://acme.example.com',
        },
      },
    ],
  },
)
export type CustomCallRequest = Static<typeof CustomCallRequest>

/** The provider's own answer. */
export const CustomCallAnswer = Type.Object(
  {
    status: Type.Integer({ description: "The provider's status, whatever it is.", examples: [200] }),
    headers: Type.Unsafe<Record<string, string>>({
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'Its headers that mean something to a caller, by lower-case name.',
      examples: [
        { 'content-type': 'application/json;charset=UTF-8', 'sforce-limit-info': 'api-usage=18/5000' },
      ],
    }),
    body: Type.Unknown({
      description: 'Its body: the JSON value where it is JSON, else text; null when it has none.',
      examples: [{ Id: '001RM000003oLruYAE', Name: 'Acme' }],
    }),
  },
  { title: 'CustomCallAnswer', description: "The provider's own answer, whatever its status." },
)
