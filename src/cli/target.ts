import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { messageOf } from '../kernel/errors.ts'
import { createApi, type Api } from './api.ts'
import type { Input, OptionSpec } from './command.ts'
import { clientVariables } from './process.ts'

const DEFAULT_URL = 'http://127.0.0.1:8080'

/** The options that say which service is called and how its answers are shown. */
export const serviceOptions = {
  url: { value: 'URL', env: clientVariables.url, help: `the service; ${DEFAULT_URL} when absent` },
  'key-file': {
    value: 'FILE',
    help: `holds the API key. Without it the variable ${clientVariables.key} does; without both, for a service on this machine, the admin key in the data folder (WRITEBACK_DATA_DIR, .writeback)`,
  },
  json: { help: 'JSON for programs instead of text for people' },
} satisfies Record<string, OptionSpec>

export const projectOption = {
  project: { value: 'PROJECT', short: 'p', env: clientVariables.project, help: 'id or name of the project' },
} satisfies Record<string, OptionSpec>

export const integrationOption = {
  integration: {
    value: 'INTEGRATION',
    short: 'i',
    env: clientVariables.integration,
    help: 'id or name of the integration',
  },
} satisfies Record<string, OptionSpec>

export const groupOption = {
  group: { value: 'GROUP', short: 'g', env: clientVariables.group, help: 'groupRef of the customer' },
} satisfies Record<string, OptionSpec>

/** Which service, and with which key. */
export interface Target {
  url: string
  /** A file, or null for the variable or the data folder. */
  keyFile: string | null
}

/** Reads which service is meant; what is wrong with it is noted. */
export function readTarget(input: Input): Target {
  const text = input.text('url') ?? DEFAULT_URL
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '')
    input.issue(`--url must be an http or https address, not ${JSON.stringify(text)}`)
  else if (url.username !== '' || url.password !== '')
    input.issue('--url must hold no user and no password: the key is given by --key-file')
  return { url: text.replace(/\/+$/, ''), keyFile: input.text('key-file') ?? null }
}

/**
 * Opens the service.
 *
 * @param patienceMs for which calls that may be repeated are; a short while when absent
 * @throws {Error} one line, when there is no key
 */
export async function openApi(
  { url, keyFile }: Target,
  { env, ...settings }: { env: NodeJS.ProcessEnv; signal: AbortSignal; patienceMs?: number },
): Promise<Api> {
  const { key, keySource } = await findKey({ url, keyFile }, env)
  return createApi({ url, key, keySource, ...settings })
}

/** The command cannot go on without a key. */
export class NoKey extends Error {
  override readonly name = 'NoKey'
}

async function findKey(
  { url, keyFile }: Target,
  env: NodeJS.ProcessEnv,
): Promise<{ key: string; keySource: string }> {
  if (keyFile !== null) return { key: await readKey(keyFile), keySource: keyFile }
  const key = env[clientVariables.key] ?? ''
  if (key !== '') return { key: fit(key.trim(), clientVariables.key), keySource: clientVariables.key }
  const file = join(env['WRITEBACK_DATA_DIR'] ?? '.writeback', 'admin-key')
  const kept = isLocal(url) ? await readFile(file, 'utf8').catch(() => null) : null
  if (kept !== null) return { key: fit(kept.trim(), file), keySource: file }
  const local = isLocal(url) ? `; there is no ${file} either` : ''
  throw new NoKey(`no API key: set ${clientVariables.key} or give --key-file FILE${local}`)
}

async function readKey(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new NoKey(`--key-file cannot be read: ${messageOf(error)}`)
  })
  return fit(text.trim(), file)
}

function fit(key: string, source: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key
  throw new NoKey(`${source} holds no API key: one is a single word of printable ASCII`)
}

/** Whether the service runs on this machine: only there does the data folder's key belong to it. */
function isLocal(url: string): boolean {
  const { hostname } = new URL(url)
  return (
    hostname === 'localhost' || (isIP(hostname) === 4 && hostname.startsWith('127.')) || hostname === '[::1]'
  )
}
