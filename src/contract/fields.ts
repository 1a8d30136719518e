import Type, { type TSchema } from 'typebox'

/*
 * Fields that several surfaces share. The formats `name`, `line`, `object-name`, `header-token`,
 * `login-url`, `instance-url`, `web-url` and `rsa-private-key` are this service's own; the HTTP floor gives them their meaning
 * and the sentence that explains a refusal.
 */

/** An id of anything of ours. */
export const Id = Type.String({ format: 'uuid', examples: ['0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'] })

/** A moment, ISO 8601 in UTC. */
export const Time = Type.String({ format: 'date-time', examples: ['2026-08-01T12:00:00.000Z'] })

/** A name that may stand in a path in place of an id, so it must not look like one. */
export const Name = Type.String({ minLength: 1, maxLength: 255, format: 'name', examples: ['acme'] })

/** The caller's own id for one of its customers. */
export const GroupRef = Type.String({
  minLength: 1,
  maxLength: 255,
  format: 'line',
  description: "The caller's own id of the customer whose org is written to.",
  examples: ['customer-42'],
})

/** The CRMs that can be written to. */
export const ProviderName = Type.Unsafe<'salesforce'>({
  type: 'string',
  enum: ['salesforce'],
  description: 'The CRM.',
  examples: ['salesforce'],
})

/** The most entries that one page of a list may hold. */
export const MAX_PAGE_SIZE = 1000

/** Query of every list. */
export const PageQuery = Type.Object(
  {
    pageSize: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_PAGE_SIZE,
        description: 'The most entries to answer with; 100 when absent.',
      }),
    ),
    pageToken: Type.Optional(
      Type.String({
        maxLength: 512,
        description: '`nextPageToken` of the page before; the first page when absent.',
      }),
    ),
  },
  { additionalProperties: false },
)

/** One page of a list, newest first. */
export const pageOf = <T extends TSchema>(entry: T) =>
  Type.Object({
    results: Type.Array(entry),
    pagination: Type.Object({
      done: Type.Boolean({ description: 'Whether this is the last page.' }),
      nextPageToken: Type.Optional(
        Type.String({ description: 'Asks for the next page; absent on the last one.' }),
      ),
    }),
  })

/** Path parameters that name a project. */
export const ProjectPath = Type.Object({
  project: Type.String({ description: 'Id or name of the project.' }),
})

/** Path parameters that name an integration of a project. */
export const IntegrationPath = Type.Object({
  project: Type.String({ description: 'Id or name of the project.' }),
  integration: Type.String({ description: 'Id or name of the integration.' }),
})
