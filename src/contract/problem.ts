import Type, { type Static } from 'typebox'
import { Time } from './fields.ts'

/** One thing wrong with an input. */
export const Issue = Type.Object(
  {
    path: Type.String({
      description:
        'Where, as a JSON pointer into the body; into the query or the path when it begins with /query or /path. Empty for the body as a whole.',
      examples: ['/config/content/provider'],
    }),
    message: Type.String({ description: 'What is wrong there.', examples: ['is required'] }),
  },
  { title: 'Issue' },
)

/** Every error that is not a write's own outcome (contract section 3; RFC 9457). */
export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri', examples: ['urn:writeback:problem:not-found'] }),
    title: Type.String({ examples: ['Not found'] }),
    status: Type.Integer({ minimum: 400, maximum: 599, examples: [404] }),
    detail: Type.String({ description: 'What was wrong, in one sentence.' }),
    instance: Type.String({ format: 'uri', description: 'This occurrence.' }),
    code: Type.String({
      description: 'The code of the error; it never changes its meaning.',
      examples: ['NOT_FOUND'],
    }),
    requestId: Type.String({
      description:
        'The same as the header X-Request-Id of the answer; of a replayed answer, that of the call that it answered first.',
    }),
    time: Time,
    retryable: Type.Boolean({ description: 'Whether the same request can succeed later.' }),
    operationId: Type.Optional(
      Type.String({ format: 'uuid', description: 'The operation that it is about, where there is one.' }),
    ),
    remedy: Type.Optional(Type.String({ description: 'What to do about it, in one sentence.' })),
    retryAfter: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When trying again makes sense; the header Retry-After says the same in seconds.',
      }),
    ),
    causes: Type.Optional(
      Type.Array(Type.String(), { description: 'What caused it, where that may be told.' }),
    ),
    issues: Type.Optional(Type.Array(Issue, { description: 'Every issue of a refused input, at once.' })),
  },
  { title: 'Problem', description: 'An error that is not the outcome of a write (RFC 9457).' },
)
export type Problem = Static<typeof Problem>
