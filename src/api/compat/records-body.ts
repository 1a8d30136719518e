import { MAX_RECORDS } from '../../contract/records.ts'
import type { Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { BatchEntry, WriteBody } from '../../ingest/write-body.ts'
import { fieldNameIssues } from './field-name.ts'
import { isObject, textOf } from './scripts.ts'

/*
 * The records call's body as the write call's. A record's `id`, `name` and `fields` become one record; what
 * is then found wrong with it is told of the place where the caller gave it.
 */

type JsonObject = Record<string, unknown>

/** A body of the records call, as far as it is of the right kind: its schema names the rest. */
export interface RecordsBody {
  groupRef: string | null
  /** The object as the caller names it. */
  objectName: string | null
  storedProcedure: string | null
  /** The same as a write, a batch however few its records. */
  write: Partial<WriteBody>
  /** What is wrong with it that only this call can tell. */
  issues: Issue[]
  /** Issues of {@link write} as issues of the body that it was made of. */
  translate: (issues: readonly Issue[]) => Issue[]
}

/** Where a member of a record was given, where that is not in its `fields`: by its name in the write. */
type Places = ReadonlyMap<string, 'id' | 'name'>

/** A record as one of a batch. */
interface ReadRecord {
  entry: BatchEntry | null
  places: Places
  issues: Issue[]
}

const types: ReadonlyMap<unknown, WriteBody['type']> = new Map([
  ['INSERT', 'create'],
  ['UPDATE', 'update'],
  ['UPSERT', 'upsert'],
])

/** Reads a body of the records call. */
export function readRecordsBody(given: unknown): RecordsBody {
  const body = isObject(given) ? given : {}
  const field = textOf(body.externalField)
  const wrong = field === null ? [] : fieldNameIssues(field, '/externalField')
  // An upsert by the record's own id finds it or fails: an update.
  const isById = body.method === 'UPSERT' && field !== null && /^id$/i.test(field)
  const type = isById ? 'update' : types.get(body.method)
  const key = isById ? null : field
  const objectName = textOf(body.type)
  const records = readable(body.records).map((record, index) =>
    readRecord(record, `/records/${index}`, { objectName, type, key }),
  )
  return {
    groupRef: textOf(body.groupRef),
    objectName,
    storedProcedure: textOf(body.storedProcedure),
    write: {
      ...pick(body, 'mode', 'variables', 'reference'),
      ...(type !== undefined && { type }),
      ...(key !== null && { externalIdField: key }),
      batch: records.map(({ entry }) => entry),
    },
    issues: [...wrong, ...records.flatMap(({ issues }) => issues)],
    translate: translator(records.map(({ places }) => places)),
  }
}

/** What has more records than the call takes is refused for that alone. */
const readable = (records: unknown): unknown[] =>
  Array.isArray(records) && records.length <= MAX_RECORDS ? (records as unknown[]) : []

const pick = (body: JsonObject, ...names: (keyof WriteBody)[]): Partial<WriteBody> =>
  Object.fromEntries(names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]))

/** What a call says of all its records. */
interface RecordsRules {
  objectName: string | null
  type: WriteBody['type'] | undefined
  /** The field that an upsert is keyed by. */
  key: string | null
}

function readRecord(given: unknown, path: string, rules: RecordsRules): ReadRecord {
  const places = new Map<string, 'id' | 'name'>()
  const issues: Issue[] = []
  if (!isObject(given)) return { entry: null, places, issues }
  const fields = new Map(isObject(given.fields) ? Object.entries(given.fields) : [])
  const { objectName } = rules
  const own = textOf(given.type)
  if (own !== null && objectName !== null && own.toLowerCase() !== objectName.toLowerCase())
    issues.push({ path: `${path}/type`, message: `must be the type of the request: ${objectName}` })
  const put = (name: string, value: string, from: 'id' | 'name'): void => {
    fields.set(name, value)
    places.set(name, from)
  }
  const record = { id: textOf(given.id), name: textOf(given.name), fields, path }
  const issue = rules.type === 'upsert' ? putKey(record, rules.key, put) : putId(record, put)
  if (issue !== null) issues.push(issue)
  // Of a record that is there already, the name is no more than what the caller calls it.
  if (rules.type === 'create' || rules.type === 'upsert') issues.push(...putName(record, put))
  return { entry: { record: Object.fromEntries(fields) }, places, issues }
}

interface NamedRecord {
  id: string | null
  name: string | null
  fields: Map<string, unknown>
  path: string
}
type Put = (name: string, value: string, from: 'id' | 'name') => void

/** The caller's own spelling of a field; platforms mind no letter case. */
const spelled = (fields: ReadonlyMap<string, unknown>, name: string): string | undefined =>
  [...fields.keys()].find((key) => key.toLowerCase() === name.toLowerCase())

function putId({ id, fields, path }: NamedRecord, put: Put): Issue | null {
  if (id === null) return null
  const twin = spelled(fields, 'id')
  if (twin === undefined) {
    put('id', id, 'id')
    return null
  }
  fields.delete(twin)
  put('id', id, 'id')
  return { path: pointerTo(`${path}/fields`, twin), message: 'cannot be given together with id' }
}

/**
 * An upsert is keyed by a field. The id that scripts give beside it names a record of the org: it decides
 * nothing, and is never taken for the key, nor is one that was spoilt on its way. Only what looks like no
 * such id is the key's value, where `fields` does not hold it.
 */
function putKey({ id, fields, path }: NamedRecord, key: string | null, put: Put): Issue | null {
  if (id === null || key === null || normaliseRecordId(id) !== null) return null
  const given = spelled(fields, key)
  // A variable may stand for a record's id, too.
  const mayBeId = /^[A-Za-z0-9]{18}$/.test(id) || id.includes('{{')
  if (given === undefined && !mayBeId) put(key, id, 'id')
  else if (given === undefined || fields.get(given) !== id)
    return { path: `${path}/id`, message: `is no record id, and not the value of ${given ?? key} either` }
  return null
}

function putName({ name, fields, path }: NamedRecord, put: Put): Issue[] {
  if (name === null) return []
  const given = spelled(fields, 'Name')
  if (given === undefined) put('Name', name, 'name')
  else if (fields.get(given) !== name)
    return [{ path: pointerTo(`${path}/fields`, given), message: 'is not the same as name' }]
  return []
}

/** Turns places of the write into those of the body. */
function translator(placesOf: readonly Places[]): RecordsBody['translate'] {
  const toPath = (path: string): string => {
    if (path === '/externalIdField') return '/externalField'
    const [, index, name, rest = ''] = /^\/batch\/(\d+)\/record(?:\/([^/]*)(.*))?$/s.exec(path) ?? []
    if (index === undefined) return /^\/batch(Policy\/allOrNone)?$/.test(path) ? '/records' : path
    const base = `/records/${index}`
    if (name === undefined) return base
    const place = placesOf[Number(index)]?.get(name.replaceAll('~1', '/').replaceAll('~0', '~'))
    // What an update lacks is missed where the call has its place for it.
    if (place === undefined) return name === 'id' ? `${base}/id` : `${base}/fields/${name}${rest}`
    return `${base}/${place}${rest}`
  }
  return (issues) =>
    issues.map(({ path, message }) => ({
      path: toPath(path),
      message: message.replaceAll(/\/batch\/(\d+)\/record/g, '/records/$1'),
    }))
}
