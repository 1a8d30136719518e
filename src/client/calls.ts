import { atLeast, type CallOptions, type Settings } from './options.ts'
import type { Request, Transport } from './transport.ts'

/** What a call may be told besides what a caller may say. */
export interface BoundedOptions extends CallOptions {
  /** The time of day, in milliseconds, after which nothing is tried again. */
  until?: number | undefined
}

/** Calls that answer with JSON and nothing more. */
export interface Calls {
  /** What every call is told. */
  common: (options: BoundedOptions) => Pick<Request, 'signal' | 'until' | 'timeoutMs'>
  get: <T>(path: string, options?: BoundedOptions) => Promise<T>
  post: <T>(path: string, repeat: Request['repeat'], body: unknown, options?: BoundedOptions) => Promise<T>
  /** Every entry of a list, page by page as they are asked for. */
  list: <T>(path: string, query: Query, options?: BoundedOptions) => AsyncGenerator<T, void>
}

/** What a list is asked for; what is undefined is left out. */
export type Query = Record<string, string | number | undefined>

interface Page<T> {
  results: T[]
  pagination: { done: boolean; nextPageToken?: string }
}

/** The calls of a client. */
export function createCalls(settings: Settings, transport: Transport): Calls {
  const common: Calls['common'] = ({ signal, timeoutMs, until }) => ({
    signal,
    until,
    timeoutMs: atLeast('timeoutMs', timeoutMs ?? settings.timeoutMs, 1),
  })
  const get: Calls['get'] = async <T>(path: string, options: BoundedOptions = {}) =>
    (await transport.call<T>({ method: 'GET', path, repeat: 'always', ...common(options) })).body
  return {
    common,
    get,
    post: async <T>(path: string, repeat: Request['repeat'], body: unknown, options: BoundedOptions = {}) => {
      const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      const request = {
        method: 'POST' as const,
        path,
        repeat,
        ...(body === undefined ? {} : json),
        ...common(options),
      }
      return (await transport.call<T>(request)).body
    },
    async *list<T>(path: string, query: Query, options: BoundedOptions = {}) {
      let pageToken: string | undefined
      do {
        const page = await get<Page<T>>(`${path}?${queryText({ ...query, pageToken })}`, options)
        yield* page.results
        pageToken = page.pagination.done ? undefined : page.pagination.nextPageToken
      } while (pageToken !== undefined)
    },
  }
}

function queryText(query: Query): string {
  const text = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) text.set(name, String(value))
  return text.toString()
}
