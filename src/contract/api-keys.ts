import Type, { type Static } from 'typebox'
import { Id, ProjectPath, Time } from './fields.ts'

/** What a project key may do (contract section 2). */
export const Scope = Type.Unsafe<'write' | 'read' | 'admin'>({
  type: 'string',
  enum: ['write', 'read', 'admin'],
})
export type Scope = Static<typeof Scope>

const Label = Type.String({
  minLength: 1,
  maxLength: 255,
  format: 'line',
  description: 'What the key is for, as people call it.',
  examples: ['billing service'],
})
const Scopes = Type.Array(Scope, {
  minItems: 1,
  uniqueItems: true,
  description: 'write: writes; read: reads what was written and set up; admin: sets up.',
  examples: [['write', 'read']],
})

export const NewApiKey = Type.Object(
  { label: Label, scopes: Scopes },
  {
    additionalProperties: false,
    title: 'NewApiKey',
    examples: [{ label: 'billing service', scopes: ['write', 'read'] }],
  },
)
export type NewApiKey = Static<typeof NewApiKey>

export const ApiKeyUpdate = Type.Object(
  { label: Type.Optional(Label), scopes: Type.Optional(Scopes) },
  {
    additionalProperties: false,
    minProperties: 1,
    title: 'ApiKeyUpdate',
    description: 'What is given replaces what was there. The key itself never changes.',
    examples: [{ scopes: ['read'] }],
  },
)
export type ApiKeyUpdate = Static<typeof ApiKeyUpdate>

export const ApiKey = Type.Object(
  { id: Id, label: Label, scopes: Scopes, createTime: Time },
  { title: 'ApiKey' },
)
export type ApiKey = Static<typeof ApiKey>

export const CreatedApiKey = Type.Object(
  {
    id: Id,
    label: Label,
    scopes: Scopes,
    key: Type.String({ description: 'The key itself: shown this once and kept only as a hash.' }),
    createTime: Time,
  },
  { title: 'CreatedApiKey' },
)
export type CreatedApiKey = Static<typeof CreatedApiKey>

export const ApiKeyPath = Type.Interface([ProjectPath], {
  id: Type.String({ description: 'Id of the key.' }),
})
