import type { Issue } from '../../kernel/errors.ts'
import type { ObjectEntry } from '../../model/object-entry.ts'
import { foldCase, isJsonObject, quoted, type JsonObject } from './json-values.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { MAX_PARENTS } from './parent-keys.ts'

const knownKeys = new Set([
  'objectName',
  'deletionSettings',
  'mapToName',
  'fieldMappings',
  'selectedFieldSettings',
  'idempotencyField',
  'parentFields',
  'procedures',
])
/** The kinds of a default, each with its check and the end of the sentence that refuses it. */
const defaultKinds = new Map<string, [check: (value: unknown) => boolean, says: string]>([
  ['stringValue', [(value) => typeof value === 'string', 'must be text']],
  ['integerValue', [Number.isSafeInteger, 'must be a whole number']],
  ['booleanValue', [(value) => typeof value === 'boolean', 'must be true or false']],
])
const writeModes = new Map([
  ['writeOnCreate', ['always', 'never']],
  ['writeOnUpdate', ['always', 'never', 'ifEmpty']],
])

const MAX_NAME = 255
const API_NAME = 'must be a field name of the provider: letters, digits and underscores, a letter first'
const isApiName = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= MAX_NAME && /^[A-Za-z][A-Za-z0-9_]*$/.test(value)

const CALLER_NAME = `must be a name of 1 to ${MAX_NAME} characters, without control characters and without spaces around it`
const isCallerName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length >= 1 &&
  value.length <= MAX_NAME &&
  value === value.trim() &&
  value.isWellFormed() &&
  !/\p{Cc}/u.test(value)

/** A name that stands in the path of the write call as one segment. */
const isPathName = (value: unknown): value is string =>
  isCallerName(value) && value !== '.' && value !== '..' && !value.includes('/')

/**
 * What is wrong with an installation's entry for one object (contract section 4), as far as it concerns
 * names and fields: `objectName` and `deletionSettings` are only known here.
 *
 * @param path JSON pointer of the entry
 */
export function checkObjectEntry(entry: unknown, path = ''): Issue[] {
  if (!isJsonObject(entry)) return [{ path, message: 'must be an object' }]
  const issues: Issue[] = []
  for (const name of Object.keys(entry)) {
    if (!knownKeys.has(name)) issues.push({ path: pointerTo(path, name), message: 'is not a known field' })
  }
  const { mapToName, fieldMappings, selectedFieldSettings, idempotencyField } = entry
  if (mapToName !== undefined && !isPathName(mapToName))
    issues.push({ path: `${path}/mapToName`, message: `${CALLER_NAME}, and no slash` })
  if (idempotencyField !== undefined && (!isApiName(idempotencyField) || isId(idempotencyField)))
    issues.push({ path: `${path}/idempotencyField`, message: `${API_NAME}, and not Id` })
  issues.push(...checkParentFields(entry.parentFields, `${path}/parentFields`))
  issues.push(...checkMappings(fieldMappings, `${path}/fieldMappings`))
  const toProvider = new Map<string, string>()
  for (const [caller, field] of isJsonObject(fieldMappings) ? Object.entries(fieldMappings) : [])
    if (typeof field === 'string') toProvider.set(foldCase(caller), field)
  const names = { toProvider, idempotencyField: isApiName(idempotencyField) ? idempotencyField : null }
  issues.push(...checkSettings(selectedFieldSettings, names, `${path}/selectedFieldSettings`))
  issues.push(...checkProcedures(entry.procedures, names, `${path}/procedures`))
  return issues
}

function checkParentFields(fields: unknown, path: string): Issue[] {
  if (fields === undefined) return []
  if (!Array.isArray(fields) || fields.length < 1 || fields.length > MAX_PARENTS)
    return [{ path, message: `must be a list of 1 to ${MAX_PARENTS} lookup fields` }]
  const seen = new Map<string, string>()
  return fields.flatMap((field: unknown, index): Issue[] => {
    const at = pointerTo(path, index)
    if (!isApiName(field) || isId(field)) return [{ path: at, message: `${API_NAME}, and not Id` }]
    const same = remember(seen, field, field)
    return same === null ? [] : [{ path: at, message: `is the same field as ${quoted(same)}` }]
  })
}

const isId = (name: string): boolean => foldCase(name) === 'id'

function checkMappings(mappings: unknown, path: string): Issue[] {
  if (mappings === undefined) return []
  if (!isJsonObject(mappings))
    return [{ path, message: "must be an object: the provider's field names by the caller's" }]
  const issues: Issue[] = []
  const callers = new Map<string, string>()
  const fields = new Map<string, string>()
  for (const [caller, field] of Object.entries(mappings)) {
    const at = pointerTo(path, caller)
    if (!isCallerName(caller)) issues.push({ path: at, message: `the name ${CALLER_NAME}` })
    const sameCaller = remember(callers, caller, caller)
    if (sameCaller !== null)
      issues.push({ path: at, message: `is mapped twice: ${quoted(sameCaller)} is the same name` })
    if (!isApiName(field)) {
      issues.push({ path: at, message: API_NAME })
      continue
    }
    const sameField = remember(fields, field, caller)
    if (sameField !== null && sameCaller === null)
      issues.push({ path: at, message: `maps to ${field}, as ${quoted(sameField)} does` })
  }
  return issues
}

/** Keeps who came first under a name in any letter case; answers who that was when it was not this one. */
function remember(seen: Map<string, string>, name: string, who: string): string | null {
  const first = seen.get(foldCase(name))
  if (first === undefined) seen.set(foldCase(name), who)
  return first ?? null
}

function checkSettings(settings: unknown, names: FieldNames, path: string): Issue[] {
  if (settings === undefined) return []
  if (!isJsonObject(settings)) return [{ path, message: 'must be an object: settings by field name' }]
  const issues: Issue[] = []
  const seen = new Map<string, string>()
  for (const [name, setting] of Object.entries(settings)) {
    const at = pointerTo(path, name)
    const field = names.toProvider.get(foldCase(name)) ?? name
    const same = remember(seen, field, name)
    if (!isApiName(field)) issues.push({ path: at, message: `the name ${API_NAME}, or one that is mapped` })
    if (isId(field)) issues.push({ path: at, message: 'names the record; it can have no settings' })
    if (same !== null) issues.push({ path: at, message: `is the same field as ${quoted(same)}` })
    if (isJsonObject(setting)) issues.push(...checkSetting(setting, at))
    else issues.push({ path: at, message: 'must be an object' })
    if (isJsonObject(setting) && setting.default !== undefined && isServices(field, names))
      issues.push({ path: `${at}/default`, message: SERVICE_SETS })
  }
  return issues
}

function checkSetting(setting: JsonObject, path: string): Issue[] {
  return Object.entries(setting).flatMap(([name, value]): Issue[] => {
    const at = pointerTo(path, name)
    if (name === 'default') return checkDefault(value, at)
    const modes = writeModes.get(name)
    if (modes === undefined) return [{ path: at, message: 'is not a known field' }]
    return typeof value === 'string' && modes.includes(value)
      ? []
      : [{ path: at, message: `must be one of: ${modes.join(', ')}` }]
  })
}

function checkDefault(value: unknown, path: string): Issue[] {
  const kinds = [...defaultKinds.keys()].join(', ')
  if (!isJsonObject(value)) return [{ path, message: `must be an object with one of ${kinds}` }]
  const issues: Issue[] = []
  let given = 0
  for (const [name, member] of Object.entries(value)) {
    const kind = defaultKinds.get(name)
    if (kind === undefined) {
      issues.push({ path: pointerTo(path, name), message: 'is not a known field' })
      continue
    }
    given += 1
    const [check, says] = kind
    if (!check(member)) issues.push({ path: pointerTo(path, name), message: says })
  }
  if (given !== 1) issues.push({ path, message: `must have exactly one of ${kinds}` })
  return issues
}

/** What the fields of an object are known by. */
interface FieldNames {
  /** The provider's name by the caller's, in lower case. */
  toProvider: ReadonlyMap<string, string>
  idempotencyField: string | null
}

const SERVICE_SETS = 'is the idempotencyField; the service sets it'
const isServices = (field: string, { idempotencyField }: FieldNames): boolean =>
  idempotencyField !== null && foldCase(field) === foldCase(idempotencyField)

function checkProcedures(procedures: unknown, names: FieldNames, path: string): Issue[] {
  if (procedures === undefined) return []
  if (!isJsonObject(procedures)) return [{ path, message: 'must be an object: procedures by name' }]
  return Object.entries(procedures).flatMap(([name, procedure]): Issue[] => {
    const at = pointerTo(path, name)
    const issues = isCallerName(name) ? [] : [{ path: at, message: `the name ${CALLER_NAME}` }]
    if (!isJsonObject(procedure)) return [...issues, { path: at, message: 'must be an object' }]
    const members = Object.entries(procedure)
    return [
      ...issues,
      ...members.flatMap(([key, value]) => checkMember(key, value, names, pointerTo(at, key))),
    ]
  })
}

function checkMember(name: string, value: unknown, names: FieldNames, path: string): Issue[] {
  switch (name) {
    case 'fields':
      return checkProcedureFields(value, names, path)
    case 'values':
      return checkValues(value, names, path)
    case 'allOrNone':
    case 'allowDuplicates':
      return typeof value === 'boolean' ? [] : [{ path, message: 'must be true or false' }]
    case 'mode':
      return value === 'synchronous' || value === 'asynchronous'
        ? []
        : [{ path, message: 'must be one of: synchronous, asynchronous' }]
    default:
      return [{ path, message: 'is not a known field' }]
  }
}

/** An empty list is one too: such a procedure takes nothing but the record's own name. */
function checkProcedureFields(fields: unknown, names: FieldNames, path: string): Issue[] {
  if (!Array.isArray(fields)) return [{ path, message: 'must be a list of fields' }]
  const seen = new Map<string, string>()
  return fields.flatMap((field: unknown, index) => checkField(field, names, seen, pointerTo(path, index)))
}

function checkValues(values: unknown, names: FieldNames, path: string): Issue[] {
  if (!isJsonObject(values)) return [{ path, message: 'must be an object: values by field name' }]
  const seen = new Map<string, string>()
  return Object.entries(values).flatMap(([field, value]) => {
    const at = pointerTo(path, field)
    const issues = checkField(field, names, seen, at)
    if (!isForcedValue(value))
      issues.push({ path: at, message: 'must be text, a number, true, false or null' })
    return issues
  })
}

const isForcedValue = (value: unknown): boolean =>
  value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)

/** What is wrong with a field that a procedure names, by the provider's name or the caller's. */
function checkField(name: unknown, names: FieldNames, seen: Map<string, string>, path: string): Issue[] {
  const field = typeof name === 'string' ? (names.toProvider.get(foldCase(name)) ?? name) : name
  if (typeof name !== 'string' || !isApiName(field))
    return [{ path, message: `the name ${API_NAME}, or one that is mapped` }]
  if (isId(field)) return [{ path, message: 'names the record; no procedure needs to' }]
  if (isServices(field, names)) return [{ path, message: SERVICE_SETS }]
  const same = remember(seen, field, name)
  return same === null ? [] : [{ path, message: `is the same field as ${quoted(same)}` }]
}

/**
 * What is wrong between the entries of one installation: a caller's name that could mean two objects,
 * names compared in any letter case.
 *
 * @param objects the entries by the provider's name of the object, each without issues of its own
 */
export function checkObjectNames(objects: Record<string, ObjectEntry>, path = ''): Issue[] {
  const owners = new Map(Object.keys(objects).map((name) => [foldCase(name), name]))
  return Object.entries(objects).flatMap(([name, { mapToName }]) => {
    if (mapToName === undefined) return []
    const owner = remember(owners, mapToName, name)
    const at = `${pointerTo(path, name)}/mapToName`
    return owner === null || owner === name ? [] : [{ path: at, message: `names ${owner} already` }]
  })
}
