import Type, { type Static } from 'typebox'
import { clientId, clientSecret, login } from './connections.ts'
import { GroupRef, Id, ProviderName, Time } from './fields.ts'

/** Body of the call that makes a link by which a customer connects their org. */
export const NewConnectLink = Type.Object(
  {
    groupRef: GroupRef,
    provider: ProviderName,
    clientId,
    clientSecret: Type.Optional(clientSecret),
    loginUrl: Type.Optional(
      login(
        "Where the customer signs in: https://login.salesforce.com, https://test.salesforce.com or the org's My Domain. They choose when it is absent.",
      ),
    ),
    returnUrl: Type.Optional(
      Type.String({
        maxLength: 2048,
        format: 'web-url',
        description: 'Where the last page links to, for example your own settings page.',
        examples: ['https://app.example.com/settings'],
      }),
    ),
  },
  {
    additionalProperties: false,
    title: 'NewConnectLink',
    examples: [
      {
        groupRef: 'customer-42',
        provider: 'salesforce',
        clientId: '3MVG9…',
        clientSecret: '…',
        returnUrl: 'https://app.example.com/settings',
      },
    ],
  },
)
export type NewConnectLink = Static<typeof NewConnectLink>

/** The link; its URL is in this answer only. */
export const ConnectLink = Type.Object(
  {
    id: Id,
    url: Type.String({
      format: 'uri',
      description: 'For the customer to open in a browser. Whoever has it can use it, once: it is a secret.',
      examples: ['https://writeback.example.com/connect/x5Qh…'],
    }),
    expireTime: Time,
  },
  { title: 'ConnectLink' },
)
