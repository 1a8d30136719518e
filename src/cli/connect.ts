import { readFile } from 'node:fs/promises'
import { text as textOf } from 'node:stream/consumers'
import type { Connection } from '../contract/connections.ts'
import { messageOf } from '../kernel/errors.ts'
import { path, ServiceError, type Api } from './api.ts'
import { usageError, type Input, type OptionSpec, type Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import type { Host } from './process.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { groupOption, projectOption, serviceOptions } from './target.ts'

/** The kinds of credentials, each with its fields that are no secrets and those that are. */
const kinds = {
  'oauth2-client-credentials': { fields: ['clientId', 'loginUrl'], secrets: ['clientSecret'] },
  'oauth2-refresh-token': { fields: ['clientId', 'loginUrl'], secrets: ['clientSecret', 'refreshToken'] },
  'oauth2-jwt-bearer': { fields: ['clientId', 'username', 'loginUrl'], secrets: ['privateKey'] },
  'access-token': { fields: ['instanceUrl'], secrets: ['accessToken'] },
} as const
type Kind = keyof typeof kinds

/** The options that hold fields of the credentials, with the field of each. */
const fields = {
  'client-id': ['clientId', 'consumer key of the connected app'],
  username: ['username', 'whom the app acts as'],
  'login-url': ['loginUrl', "where sessions are opened; Salesforce's production login when absent"],
  'instance-url': ['instanceUrl', 'base of every API call'],
} as const
const secrets = {
  'client-secret': ['clientSecret', 'where the consumer secret is'],
  'refresh-token': ['refreshToken', 'where the refresh token is'],
  'private-key': ['privateKey', 'where the RSA private key (PEM) is'],
  'access-token': ['accessToken', 'where the open session is'],
} as const

const optionsOf = (
  table: Record<string, readonly [string, string]>,
  value: string,
): Record<string, OptionSpec> =>
  Object.fromEntries(Object.entries(table).map(([name, [, help]]) => [name, { value, help }]))

export const spec: Spec = {
  name: 'connect',
  usage: ['--type TYPE …', '--credentials FILE', '--link --client-id TEXT …'],
  about: [
    "Gives a customer's connection new credentials, all of them in place of the old ones, or makes the connection when there is none yet. What waited for a broken connection goes on at once.",
    '--link prints a link instead, for the customer to open in a browser: they sign in to Salesforce and allow the app, and the connection has its credentials. It works once, for 15 minutes; whoever has it can use it.',
    'Secrets are never arguments, which other users of the machine can see: SOURCE says where to read one: env:NAME is a variable, file:PATH a file, - standard input.',
  ],
  options: {
    ...projectOption,
    ...groupOption,
    provider: { value: 'NAME', help: 'the CRM (default salesforce)' },
    type: { value: 'TYPE', help: Object.keys(kinds).join(', ') },
    ...optionsOf(fields, 'TEXT'),
    ...optionsOf(secrets, 'SOURCE'),
    link: { help: 'print a link for the customer; with --client-id and, if need be, --client-secret' },
    'return-url': { value: 'URL', help: 'where the last page of the link leads back to' },
    credentials: {
      value: 'FILE',
      help: 'holds all credentials as the JSON of the API, in place of the options above; - is standard input',
    },
    ...serviceOptions,
  },
  examples: [
    [
      'An app with client credentials, its secret in a variable',
      'writeback connect -p acme -g customer-42 --type oauth2-client-credentials \\\n    --client-id 3MVG9… --client-secret env:SF_SECRET \\\n    --login-url https://example.my.salesforce.com',
    ],
    [
      'A new refresh token, from a password manager',
      'pass sf/token | writeback connect -p acme -g customer-42 \\\n    --type oauth2-refresh-token --client-id 3MVG9… \\\n    --client-secret file:/run/secrets/sf --refresh-token -',
    ],
    [
      'A link for the customer, who chooses where to sign in',
      'writeback connect -p acme -g customer-42 --link \\\n    --client-id 3MVG9… --client-secret env:SF_SECRET',
    ],
  ],
  exits: ['done', 'failed', 'usage', 'refused'],
}

interface Given {
  project: string
  group: string
  provider: string
  /** Whether a link is asked for, and where it leads back to. */
  link: { returnUrl?: string } | null
  /** A file, or what the options say. */
  from: { file: string } | FromOptions
}

/** What the options say: texts, and where secrets are. */
interface FromOptions {
  /** Null for the app of a link alone. */
  type: string | null
  values: Record<string, string>
  sources: Record<string, string>
}

/** `writeback connect` */
export const { run } = serviceCommand(spec, readGiven, async (given, session) => {
  const { api, output, host } = session
  const { project, group, provider } = given
  if (given.link !== null) return printLink(given, session)
  const credentials = await readCredentials(given.from, host)
  const existing = await findConnection(api, given)
  const base = path`/v1/projects/${project}/connections`
  const { body } =
    existing === null
      ? await api.call('POST', base, { body: { groupRef: group, provider, credentials } })
      : await api.call('PATCH', `${base}/${existing.id}`, { body: { credentials }, isRepeatable: true })
  const connection = body as Connection
  output.json({ ...connection, isNew: existing === null })
  const done = existing === null ? 'made' : 'given new credentials'
  output.line(`connection ${connection.id} of ${group}: ${done}, ${connection.status}`)
  return exitCodes.done
})

/** Makes a link and prints it. */
async function printLink(given: Given, { api, output, host }: Session): Promise<number> {
  const { project, group, provider, link } = given
  const body = { groupRef: group, provider, ...(await readCredentials(given.from, host)), ...link }
  const answer = await api.call('POST', path`/v1/projects/${project}/connections` + ':connect', { body })
  const made = answer.body as { id: string; url: string; expireTime: string }
  output.json(made)
  output.line(made.url)
  return exitCodes.done
}

function readGiven(input: Input): Given {
  const file = input.text('credentials')
  if (input.flag('link')) return readLink(input)
  if (input.flag('return-url')) input.issue('--return-url is for --link')
  const given = {
    link: null,
    project: input.required('project'),
    group: input.required('group'),
    provider: input.text('provider') ?? 'salesforce',
  }
  if (file === undefined) return { ...given, from: readFields(input) }
  for (const name of ['type', ...Object.keys(fields), ...Object.keys(secrets)])
    if (input.flag(name)) input.issue(`--${name} and --credentials exclude each other`)
  return { ...given, from: { file } }
}

/** A link needs the app alone; the customer brings the rest. */
function readLink(input: Input): Given {
  const returnUrl = input.text('return-url')
  for (const name of ['type', 'credentials'])
    if (input.flag(name)) input.issue(`--link and --${name} exclude each other`)
  const known = ['clientId', 'clientSecret', 'loginUrl']
  for (const [name, [field]] of [...Object.entries(fields), ...Object.entries(secrets)])
    if (input.flag(name) && !known.includes(field)) input.issue(`--${name} is not for --link`)
  return {
    project: input.required('project'),
    group: input.required('group'),
    provider: input.text('provider') ?? 'salesforce',
    link: returnUrl === undefined ? {} : { returnUrl },
    from: {
      type: null,
      values: { clientId: input.required('client-id'), ...optionalText(input, 'login-url', 'loginUrl') },
      sources: checkedSources(input, optionalText(input, 'client-secret', 'clientSecret')),
    },
  }
}

function optionalText(input: Input, name: string, field: string): Record<string, string> {
  const value = input.text(name)
  return value === undefined ? {} : { [field]: value }
}

function readFields(input: Input): Exclude<Given['from'], { file: string }> {
  const type = input.choice('type', Object.keys(kinds) as Kind[])
  if (type === undefined && input.text('type') === undefined)
    input.issue('--type is required, or --credentials')
  const values = taken(input, fields, type, type === undefined ? [] : kinds[type].fields)
  const sources = taken(input, secrets, type, type === undefined ? [] : kinds[type].secrets)
  return { type: type ?? '', values, sources: checkedSources(input, sources) }
}

function checkedSources(input: Input, sources: Record<string, string>): Record<string, string> {
  for (const [name, [field]] of Object.entries(secrets)) {
    // What is given may be the secret itself: it is never repeated.
    if (sources[field] !== undefined && !/^(env:.+|file:.+|-)$/s.test(sources[field]))
      input.issue(
        `--${name} says where to read the secret (env:NAME, file:PATH or -), never the secret itself`,
      )
  }
  if (Object.values(sources).filter((source) => source === '-').length > 1)
    input.issue('standard input can hold one secret only')
  return sources
}

/** Fields that may be left out. */
const optional = new Set([
  'oauth2-refresh-token clientSecret',
  'oauth2-refresh-token loginUrl',
  'oauth2-jwt-bearer loginUrl',
])

function taken(
  input: Input,
  table: Record<string, readonly [string, string]>,
  type: Kind | undefined,
  known: readonly string[],
): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [name, [field]] of Object.entries(table)) {
    const value = input.text(name)
    if (value !== undefined) values[field] = value
    if (type === undefined) continue
    if (value !== undefined && !known.includes(field)) input.issue(`--${name} is not for --type ${type}`)
    if (value === undefined && known.includes(field) && !optional.has(`${type} ${field}`))
      input.issue(`--${name} is required for --type ${type}`)
  }
  return values
}

async function readCredentials(from: Given['from'], host: Host): Promise<object> {
  if ('file' in from) return readObject(from.file, host)
  const { type, values, sources } = from
  const read: Record<string, string> = {}
  for (const [field, source] of Object.entries(sources)) read[field] = await readSecret(field, source, host)
  return { ...(type !== null && { type }), ...values, ...read }
}

async function readSecret(field: string, source: string, host: Host): Promise<string> {
  const text = await readSource(source, host)
  if (text.trim() === '') throw usageError(spec.name, [`the secret ${field} is empty: ${source}`])
  // A private key ends with a line break of its own; others have got one from the file.
  return field === 'privateKey' ? text : text.trim()
}

async function readSource(source: string, { env, stdin }: Host): Promise<string> {
  if (source === '-') return textOf(stdin)
  if (source.startsWith('env:')) {
    const value = env[source.slice(4)]
    if (value === undefined) throw usageError(spec.name, [`the variable ${source.slice(4)} is not set`])
    return value
  }
  return readText(source.replace(/^file:/, ''))
}

const readText = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((error: unknown) => {
    throw usageError(spec.name, [`${file} cannot be read: ${messageOf(error)}`])
  })

async function readObject(file: string, { stdin }: Host): Promise<object> {
  const text = file === '-' ? await textOf(stdin) : await readText(file)
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Said below: the parser's own words quote what it read, which is secret.
  }
  throw usageError(spec.name, ['--credentials must hold a JSON object'])
}

/** @throws {ServiceError} refused, when the customer has several connections to the provider */
async function findConnection(api: Api, { project, group, provider }: Given): Promise<Connection | null> {
  const all = await api.all<Connection>(path`/v1/projects/${project}/connections`)
  const found = all.filter((one) => one.groupRef === group && one.provider === provider)
  if (found.length > 1)
    throw new ServiceError(
      'refused',
      `The group ${JSON.stringify(group)} has ${found.length} connections to ${provider}; change one of them by its id, with the API.`,
    )
  return found[0] ?? null
}
