import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import { GroupRef, Id, ProjectPath, ProviderName } from './fields.ts'

const secret = (description: string) =>
  Type.String({ minLength: 1, maxLength: 16_384, format: 'header-token', description, writeOnly: true })

export const clientId = Type.String({
  minLength: 1,
  maxLength: 1024,
  format: 'header-token',
  description: 'Consumer key of the connected app.',
})
export const clientSecret = secret('Consumer secret of the connected app.')
export const login = (description: string) =>
  Type.String({ maxLength: 1024, format: 'login-url', description })
const loginUrl = login("Where sessions are opened; Salesforce's production login when absent.")

const variant = <T extends string, P extends TProperties>(type: T, properties: P) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false, title: type })

const RefreshToken = variant('oauth2-refresh-token', {
  clientId,
  clientSecret: Type.Optional(clientSecret),
  refreshToken: secret('The refresh token of the grant.'),
  loginUrl: Type.Optional(loginUrl),
})
const ClientCredentials = variant('oauth2-client-credentials', {
  clientId,
  clientSecret,
  loginUrl: login("The org's own My Domain address: this grant is served nowhere else."),
})
const JwtBearer = variant('oauth2-jwt-bearer', {
  clientId,
  username: Type.String({
    minLength: 1,
    maxLength: 255,
    format: 'line',
    description: 'Whom the app acts as.',
  }),
  privateKey: Type.String({
    minLength: 1,
    maxLength: 16_384,
    format: 'rsa-private-key',
    description: 'RSA private key, PEM, 2,048 bits or more.',
    writeOnly: true,
  }),
  loginUrl: Type.Optional(loginUrl),
})
const AccessToken = variant('access-token', {
  accessToken: secret('An open session; it cannot be renewed.'),
  instanceUrl: Type.String({
    maxLength: 1024,
    format: 'instance-url',
    description: 'Base of every API call.',
  }),
})

/**
 * A union told apart by `type`, so that only the variant meant is checked and every issue names a field
 * of it.
 */
const byType = <T extends TSchema[]>(...variants: T) =>
  Type.Unsafe<Static<T[number]>>({
    type: 'object',
    required: ['type'],
    discriminator: { propertyName: 'type' },
    oneOf: variants,
    description: 'What sessions are opened with. Kept encrypted, never returned.',
  })

export const NewCredentials = byType(RefreshToken, ClientCredentials, JwtBearer, AccessToken)
export type NewCredentials = Static<typeof NewCredentials>

export const NewConnection = Type.Object(
  { groupRef: GroupRef, provider: ProviderName, credentials: NewCredentials },
  {
    additionalProperties: false,
    title: 'NewConnection',
    examples: [
      {
        groupRef: 'customer-42',
        provider: 'salesforce',
        credentials: {
          type: 'oauth2-client-credentials',
          clientId: '3MVG9…',
          clientSecret: '…',
          loginUrl: 'https://example.my.salesforce.com',
        },
      },
    ],
  },
)
export type NewConnection = Static<typeof NewConnection>

export const ConnectionUpdate = Type.Object(
  { credentials: NewCredentials },
  {
    additionalProperties: false,
    title: 'ConnectionUpdate',
    description: 'New credentials in place of all the old ones. The connection works again with them.',
    examples: [
      {
        credentials: {
          type: 'oauth2-refresh-token',
          clientId: '3MVG9…',
          clientSecret: '…',
          refreshToken: '…',
        },
      },
    ],
  },
)
export type ConnectionUpdate = Static<typeof ConnectionUpdate>

export const ConnectionStatus = Type.Unsafe<'working' | 'broken'>({
  type: 'string',
  enum: ['working', 'broken'],
  description: 'broken: sessions are refused until new credentials are given.',
})

export const Connection = Type.Object(
  { id: Id, groupRef: GroupRef, provider: ProviderName, status: ConnectionStatus },
  { title: 'Connection' },
)
export type Connection = Static<typeof Connection>

export const ConnectionPath = Type.Interface([ProjectPath], {
  id: Type.String({ description: 'Id of the connection.' }),
})
