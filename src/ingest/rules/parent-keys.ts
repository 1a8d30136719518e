import type { ConfiguredObject } from '../../model/object-entry.ts'
import { normaliseRecordId } from '../../model/salesforce-id.ts'
import type { WriteType } from '../../model/write.ts'
import { keyOfExternalId, keyOfId } from '../record-key.ts'
import { foldCase, isJsonObject, type JsonObject } from './json-values.ts'

/** The most parents that one record counts for. */
export const MAX_PARENTS = 4

/**
 * Lookups of standard objects whose record a save locks (facts 8), by folded names, each with the object
 * that it points to; null where that can be several.
 */
const knownLookups = new Map<string, [field: string, object: string | null][]>([
  ['contact', [['accountid', 'account']]],
  ['opportunity', [['accountid', 'account']]],
  ['case', [['accountid', 'account']]],
  ['contract', [['accountid', 'account']]],
  ['order', [['accountid', 'account']]],
  ['asset', [['accountid', 'account']]],
  ['accountteammember', [['accountid', 'account']]],
  ['accountcontactrole', [['accountid', 'account']]],
  [
    'accountcontactrelation',
    [
      ['accountid', 'account'],
      ['contactid', 'contact'],
    ],
  ],
  ['opportunitylineitem', [['opportunityid', 'opportunity']]],
  ['opportunityteammember', [['opportunityid', 'opportunity']]],
  ['opportunitycontactrole', [['opportunityid', 'opportunity']]],
  ['quote', [['opportunityid', 'opportunity']]],
  ['quotelineitem', [['quoteid', 'quote']]],
  ['orderitem', [['orderid', 'order']]],
  ['caseteammember', [['parentid', 'case']]],
  ['casecomment', [['parentid', 'case']]],
  [
    'campaignmember',
    [
      ['campaignid', 'campaign'],
      ['leadid', 'lead'],
      ['contactid', 'contact'],
    ],
  ],
  [
    'task',
    [
      ['whatid', null],
      ['whoid', null],
      ['accountid', 'account'],
    ],
  ],
  [
    'event',
    [
      ['whatid', null],
      ['whoid', null],
      ['accountid', 'account'],
    ],
  ],
])

/** Objects whose records are parents of others: a write to one of them counts as one to a parent. */
const parentObjects = new Set(['account', 'contact', 'opportunity', 'case', 'lead', 'campaign'])

/** The name by which a record refers to a lookup's record through its external id: `Account`, `Parent__r`. */
const relationshipOf = (field: string): string =>
  field.endsWith('__c') ? `${field.slice(0, -1)}r` : field.replace(/id$/, '')

/** The key of a parent that is named by a reference such as `{Account: {Ext__c: 'v'}}`. */
function keyOfReference(reference: unknown, parent: string | null, relationship: string): string | null {
  if (!isJsonObject(reference)) return null
  const { type } = isJsonObject(reference.attributes) ? reference.attributes : {}
  const object = parent ?? (typeof type === 'string' ? type : relationship)
  const members = Object.entries(reference).filter(([name]) => foldCase(name) !== 'attributes')
  const [member] = members
  if (member === undefined || members.length > 1) return null
  const [field, value] = member
  if (foldCase(field) === 'id') return keyOfIdText(value)
  const usable = (typeof value === 'string' && value.trim() !== '') || typeof value === 'number'
  return usable ? keyOfExternalId(object, field, value) : null
}

function keyOfIdText(value: unknown): string | null {
  const id = typeof value === 'string' ? normaliseRecordId(value) : null
  return id === null ? null : keyOfId(id)
}

/** The record itself as a parent of others. */
function ownKey(
  record: ReadonlyMap<string, unknown>,
  type: WriteType,
  object: string,
  externalIdField: string | null,
): string | null {
  if (!parentObjects.has(object) || type === 'create') return null
  if (type !== 'upsert') return keyOfIdText(record.get('id'))
  return externalIdField === null
    ? null
    : keyOfExternalId(object, externalIdField, record.get(foldCase(externalIdField)))
}

/**
 * What the provider locks with a record (facts 8): hashes of the records that its lookups name, those of
 * standard objects and those that the object's entry lists, by id or by external id; and of the record
 * itself where others may be its children, so that a parent and its children are not written at once. A
 * parent that is named by its id here and by its external id there gives two keys: which they share is
 * the org's to know.
 *
 * @param record by the provider's field names, in any letter case
 * @returns at most {@link MAX_PARENTS}, each once; null when none is known
 */
export function parentKeysOf(
  record: JsonObject,
  type: WriteType,
  entry: Pick<ConfiguredObject, 'objectName' | 'parentFields'>,
  externalIdField: string | null,
): string[] | null {
  const object = foldCase(entry.objectName)
  const fields = new Map(Object.entries(record).map(([name, value]) => [foldCase(name), value]))
  const lookups = new Map<string, string | null>(knownLookups.get(object) ?? [])
  for (const field of entry.parentFields ?? [])
    if (!lookups.has(foldCase(field))) lookups.set(foldCase(field), null)
  const keys = new Set<string>()
  const add = (key: string | null): void => {
    if (key !== null && keys.size < MAX_PARENTS) keys.add(key)
  }
  add(ownKey(fields, type, object, externalIdField))
  for (const [field, parent] of lookups) {
    const relationship = relationshipOf(field)
    add(keyOfIdText(fields.get(field)))
    add(keyOfReference(fields.get(relationship), parent, relationship))
  }
  return keys.size === 0 ? null : [...keys]
}
