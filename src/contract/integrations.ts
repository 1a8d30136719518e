import Type, { type Static } from 'typebox'
import { Id, Name, ProviderName, Time } from './fields.ts'

export const NewIntegration = Type.Object(
  { name: Name, provider: ProviderName },
  {
    additionalProperties: false,
    title: 'NewIntegration',
    examples: [{ name: 'crm-sync', provider: 'salesforce' }],
  },
)
export type NewIntegration = Static<typeof NewIntegration>

export const IntegrationUpdate = Type.Object(
  { name: Name },
  { additionalProperties: false, title: 'IntegrationUpdate', examples: [{ name: 'crm-writes' }] },
)
export type IntegrationUpdate = Static<typeof IntegrationUpdate>

export const Integration = Type.Object(
  { id: Id, name: Name, provider: ProviderName, createTime: Time },
  { title: 'Integration' },
)
export type Integration = Static<typeof Integration>
