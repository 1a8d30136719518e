import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSimulator, type ConnectedApp, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { createServiceDatabase } from '../support/service.ts'
import { startEchoingOrg, type EchoingOrg } from './echoing-org.ts'

/*
 * A run with every kind of credentials and of failure, everything logged; then a search for each secret
 * that was used in it: in what was logged, in every column of every table, and in every answer.
 */

const made = (): string => randomBytes(30).toString('base64url')

const encryptionKey = randomBytes(32)
const adminKey = made()
const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const app: ConnectedApp = {
  clientId: 'client-of-the-org',
  clientSecret: made(),
  users: ['integration@writeback.example'],
  refreshTokens: [made()],
  publicKeyPem: publicKey,
  rotateRefreshTokens: true,
}
const apps = { revoked: made(), given: made() }

/** The body of a private key, line by line: each line of it tells as much. */
const keyLines = privateKey.split('\n').filter((line) => line !== '' && !line.startsWith('-----'))

const secrets = new Set([
  adminKey,
  encryptionKey.toString('base64'),
  encryptionKey.toString('hex'),
  app.clientSecret,
  ...app.refreshTokens!,
  ...keyLines,
  ...Object.values(apps),
])
/** Every answer of the service, but for the one that a key is shown in. */
const answers: string[] = []

let database: TestDatabase
let simulator: Simulator
let echoing: EchoingOrg
let service: ServiceProcess
let errorOutput = ''

/** The org's own tokens, as it makes them. */
function watchTokens({ org }: Simulator): void {
  const { sessions } = org
  const mint = sessions.mint.bind(sessions)
  sessions.mint = (...args) => {
    const session = mint(...args)
    secrets.add(session.accessToken)
    return session
  }
  const refresh = sessions.refresh.bind(sessions)
  sessions.refresh = (...args) => {
    const result = refresh(...args)
    if (typeof result === 'object' && result.rotatedTo !== undefined) secrets.add(result.rotatedTo)
    return result
  }
}

beforeAll(async () => {
  database = await createServiceDatabase()
  simulator = await startSimulator({ apps: [app] })
  watchTokens(simulator)
  echoing = await startEchoingOrg()
  service = await startProcess(database.url, encryptionKey.toString('base64'), {
    LOG_LEVEL: 'trace',
    WRITEBACK_ADMIN_KEY: adminKey,
    WRITEBACK_SWEEP_SECONDS: '0.2',
    WRITEBACK_OLD_ENCRYPTION_KEYS: randomBytes(32).toString('base64'),
  })
  service.child.stderr?.on('data', (chunk: Buffer) => (errorOutput += chunk.toString()))
})
afterAll(async () => {
  await service.end('SIGKILL')
  await simulator.close()
  await echoing.close()
  await database.drop()
})

async function call(
  method: string,
  path: string,
  body?: unknown,
  key = adminKey,
  showsKey = false,
): Promise<{ status: number; body: Record<string, string> }> {
  const response = await fetch(service.url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      'request-timeout': '2',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!showsKey) answers.push(JSON.stringify([...response.headers]), text)
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as Record<string, string> }
}

const create = async (path: string, body: unknown, showsKey = false): Promise<Record<string, string>> => {
  const answer = await call('POST', path, body, adminKey, showsKey)
  expect(answer.status).toBe(201)
  return answer.body
}

interface Installed {
  groupRef: string
  connectionId: string
}

let base = ''
let projectKey = ''
const installed: Installed[] = []

async function setUp(): Promise<void> {
  const project = await create('/v1/projects', { name: 'secrets' })
  base = `/v1/projects/${project['id']!}`
  projectKey = (await create(`${base}/api-keys`, { label: 'k', scopes: ['write', 'read', 'admin'] }, true))[
    'key'
  ]!
  secrets.add(projectKey)
  await create(`${base}/integrations`, { name: 'crm', provider: 'salesforce' })
}

/** A connection and its installation. */
async function install(credentials: Record<string, unknown>): Promise<Installed> {
  for (const name of ['clientSecret', 'refreshToken', 'accessToken'])
    if (typeof credentials[name] === 'string') secrets.add(credentials[name])
  const groupRef = `group-${installed.length}`
  const connection = await create(`${base}/connections`, { groupRef, provider: 'salesforce', credentials })
  await create(`${base}/integrations/crm/installations`, {
    groupRef,
    connectionId: connection['id'],
    config: { content: { provider: 'salesforce', write: {} } },
  })
  const one = { groupRef, connectionId: connection['id']! }
  installed.push(one)
  return one
}

const write = (groupRef: string, body: Record<string, unknown>) =>
  call('POST', `${base}/integrations/crm/objects/Contact`, { groupRef, type: 'create', ...body }, projectKey)

/** Writes in each of the ways and reads what came of it. */
async function writeThrough({ groupRef, connectionId }: Installed): Promise<number[]> {
  const record = { LastName: 'Doe' }
  const statuses: number[] = []
  for (let round = 0; round < 2; round++) {
    const answer = await write(groupRef, { record })
    statuses.push(answer.status)
    const queued = await write(groupRef, { record, mode: 'asynchronous' })
    const id = queued.body['operationId']
    if (id === undefined) continue
    await call('GET', `${base}/operations/${id}?wait=1`, undefined, projectKey)
    await call('GET', `${base}/operations/${id}/logs`, undefined, projectKey)
  }
  await write(groupRef, { batch: [{ record }, { record: { LastName: '' } }] })
  await call('GET', `${base}/connections/${connectionId}`)
  return statuses
}

const simulated = (type: string, part: Record<string, unknown>) => ({
  type,
  clientId: app.clientId,
  loginUrl: simulator.url,
  ...part,
})

const refused = (clientId: string, type = 'oauth2-client-credentials') => ({
  type,
  clientId,
  clientSecret: made() + '+/=&%',
  loginUrl: echoing.url,
  ...(type === 'oauth2-refresh-token' ? { refreshToken: made() + '+/=' } : {}),
})

/** Calls that are refused for how they are made, with secrets in them. */
async function badCalls(connectionId: string): Promise<void> {
  const credentials = { ...refused('good'), clientSecret: `${app.clientSecret}\n`, extra: app.clientSecret }
  await call('POST', `${base}/connections`, { groupRef: 'g', provider: 'salesforce', credentials })
  await call('PATCH', `${base}/connections/${connectionId}`, {
    credentials: { ...credentials, type: 'nothing' },
  })
  await call('PATCH', `${base}/connections/${connectionId}`, {
    credentials: { ...credentials, type: 'oauth2-jwt-bearer', privateKey: privateKey.slice(0, -60) },
  })
  for (const broken of [
    `{"clientSecret":"${app.clientSecret}}`,
    `{"a":${app.clientSecret}}`,
    app.clientSecret,
  ])
    expect((await call('POST', `${base}/connections`, broken)).status).toBe(400)
  for (const key of [`${projectKey}x`, `${adminKey}x`, projectKey.slice(0, -1)])
    expect((await call('GET', `${base}/connections`, undefined, key)).status).toBe(401)
}

/** The forms in which a secret may stand somewhere. */
function formsOf(secret: string): string[] {
  // what stands before it in an access token is the org's id
  const core = secret.replace(/^00D[^!]*!/, '')
  const bytes = Buffer.from(core)
  const start = core.slice(0, 12)
  return [
    start,
    encodeURIComponent(core),
    bytes.toString('base64').slice(0, 16),
    bytes.toString('hex').slice(0, 24),
    Buffer.from(start).toString('base64url').slice(0, 16),
  ]
}

/** Where any of the secrets is found. */
function found(where: string, text: string): string[] {
  return [...secrets].flatMap((secret) =>
    formsOf(secret).flatMap((form) => {
      const at = text.indexOf(form)
      return at < 0 ? [] : [`${where}: …${text.slice(Math.max(0, at - 120), at + form.length + 20)}…`]
    }),
  )
}

async function dump(): Promise<Map<string, string>> {
  const tables = await database.sql<{ schema: string; name: string }[]>`
    select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')`
  const rows = new Map<string, string>()
  for (const { schema, name } of tables) {
    const all = await database.sql<{ row: string }[]>`
      select t::text as row from ${database.sql(schema)}.${database.sql(name)} as t`
    rows.set(`${schema}.${name}`, all.map(({ row }) => row).join('\n'))
  }
  return rows
}

it('no secret is logged, stored as it is, or answered', async () => {
  await setUp()
  const good = [
    await install(
      simulated('oauth2-refresh-token', {
        clientSecret: app.clientSecret,
        refreshToken: app.refreshTokens![0],
      }),
    ),
    await install(simulated('oauth2-client-credentials', { clientSecret: app.clientSecret })),
    await install(simulated('oauth2-jwt-bearer', { username: app.users![0], privateKey })),
  ]
  for (const statuses of await Promise.all(good.map(writeThrough))) expect(statuses).toEqual([200, 200])
  // sessions that end, so that refresh tokens rotate
  simulator.org.sessions.expireAll()
  for (const statuses of await Promise.all(good.map(writeThrough))) expect(statuses).toEqual([200, 200])
  const bad = [
    await install(refused('good-org')),
    await install(refused('good-org', 'oauth2-refresh-token')),
    await install({ type: 'access-token', accessToken: apps.given, instanceUrl: echoing.url }),
    await install(refused('refused')),
    await install(refused('refused', 'oauth2-refresh-token')),
    await install(refused('page')),
    await install(refused('text')),
    await install(refused('fine', 'oauth2-refresh-token')),
    await install({
      type: 'oauth2-jwt-bearer',
      clientId: 'jwt',
      username: 'someone',
      privateKey,
      loginUrl: echoing.url,
    }),
  ]
  for (const statuses of await Promise.all(bad.map(writeThrough))) expect(statuses).not.toContain(200)
  await badCalls(good[0]!.connectionId)
  await call('PATCH', `${base}/connections/${bad[3]!.connectionId}`, {
    credentials: simulated('oauth2-client-credentials', { clientSecret: app.clientSecret }),
  })
  for (const path of ['/connections', '/api-keys', '/integrations', '/integrations/crm/installations'])
    await call('GET', base + path)
  for (const path of ['/metrics', '/healthz', '/readyz', '/openapi.json'])
    answers.push(await (await fetch(service.url + path)).text())
  const stored = await dump()
  expect(await service.end('SIGTERM')).toBe(0)

  for (const secret of echoing.secrets) secrets.add(secret)
  const logged = service.lines.map((line) => JSON.stringify(line)).join('\n') + errorOutput
  expect(secrets.size).toBeGreaterThan(40)
  expect(service.lines.length).toBeGreaterThan(50)
  expect(stored.get('public.connection')).toContain('oauth2-jwt-bearer')
  expect(answers.join('\n')).toContain('The login host refused')

  expect(found('logged', logged)).toEqual([])
  expect([...stored].flatMap(([table, text]) => found(table, text))).toEqual([])
  expect(answers.flatMap((text) => found('answered', text))).toEqual([])
})
