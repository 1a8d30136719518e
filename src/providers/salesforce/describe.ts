import type { FieldSummary, ObjectSummary, ProviderRead } from '../reading-provider.ts'
import { isObject, type Json } from './answer.ts'
import type { CallSeries } from './call-series.ts'
import { segment } from './collections.ts'
import { fetchJson, unreadable } from './fetch-json.ts'

/** The objects that the connected user may see (facts 9), in one call. */
export const describeGlobal = (series: CallSeries): Promise<ProviderRead<ObjectSummary[]>> =>
  readList(series, '/sobjects', 'sobjects', toObject)

/**
 * The fields of an object that the connected user may see (facts 9), in one call.
 *
 * @throws {InvalidGroup} for an object that is no name
 */
export const describeObject = (
  series: CallSeries,
  objectName: string,
): Promise<ProviderRead<FieldSummary[]>> =>
  readList(series, `/sobjects/${segment(objectName, 'object')}/describe`, 'fields', toField)

/** Entries that cannot be read are left out: of an org's thousands, one must not hide the others. */
async function readList<T>(
  series: CallSeries,
  path: string,
  member: string,
  toEntry: (entry: Json, name: string) => T,
): Promise<ProviderRead<T[]>> {
  const found = await fetchJson(series, { method: 'GET', path, headers: [], body: null })
  if (found.kind !== 'json') return found
  const list = isObject(found.body) ? found.body[member] : undefined
  if (!Array.isArray(list)) return unreadable(found.status)
  const value = list.flatMap((entry: unknown) =>
    isObject(entry) && typeof entry.name === 'string' ? [toEntry(entry, entry.name)] : [],
  )
  return { kind: 'read', value, usage: found.usage }
}

const labelOf = ({ label }: Json, name: string): string =>
  typeof label === 'string' && label !== '' ? label : name

const toObject = (entry: Json, name: string): ObjectSummary => ({
  name,
  label: labelOf(entry, name),
  keyPrefix: typeof entry.keyPrefix === 'string' ? entry.keyPrefix : null,
  createable: entry.createable === true,
  updateable: entry.updateable === true,
})

const toField = (entry: Json, name: string): FieldSummary => ({
  name,
  label: labelOf(entry, name),
  externalId: entry.externalId === true,
  createable: entry.createable === true,
  updateable: entry.updateable === true,
})
