import type { ProviderRead, QueryAsked, QueryPage } from '../reading-provider.ts'
import { isObject } from './answer.ts'
import { refusedHere, type CallSeries } from './call-series.ts'
import { fetchJson, unreadable } from './fetch-json.ts'

/** The path of a query's next page, as Salesforce gives it: it goes out with the session, so nothing else may. */
const pagePath = /^\/services\/data\/v\d{2,3}\.\d\/query\/[A-Za-z0-9_-]{1,100}$/

/** What an answer may have to be handed on as it is. */
const pageMembers: ReadonlySet<string> = new Set(['totalSize', 'done', 'records', 'nextRecordsUrl'])

/** Asks for one page of a query, in one call. */
export async function queryPage(series: CallSeries, asked: QueryAsked): Promise<ProviderRead<QueryPage>> {
  const path = 'soql' in asked ? `/query?q=${encodeURIComponent(asked.soql)}` : asked.nextRecordsUrl
  if (!('soql' in asked) && !pagePath.test(path))
    return refusedHere('INVALID_PAGE', 'This is not the path of a query’s page.', 'permanent')
  const found = await fetchJson(series, { method: 'GET', path, headers: [], body: null })
  if (found.kind !== 'json') return found
  const value = toPage(found.body, found.text)
  return value === null ? unreadable(found.status) : { kind: 'read', value, usage: found.usage }
}

function toPage(body: unknown, text: string): QueryPage | null {
  if (!isObject(body)) return null
  const { totalSize, done, records, nextRecordsUrl } = body
  if (typeof totalSize !== 'number' || typeof done !== 'boolean' || !Array.isArray(records)) return null
  if (done === (nextRecordsUrl !== undefined)) return null
  if (nextRecordsUrl !== undefined && (typeof nextRecordsUrl !== 'string' || !pagePath.test(nextRecordsUrl)))
    return null
  // The text itself where that is possible: a long number comes through as it was sent.
  const isPlain = Object.keys(body).every((name) => pageMembers.has(name))
  const json = isPlain ? text : JSON.stringify({ totalSize, done, nextRecordsUrl, records })
  return { json, records, nextRecordsUrl: nextRecordsUrl ?? null }
}
