import { renderDateTime } from './field-values.ts'
import type { FieldDefinition, FieldValue } from './schema.ts'
import type { StoredRecord } from './table.ts'

/** A record as a GET shows it. */
export type RenderedRecord = { Id: string; attributes: { type: string; url: string } } & Record<
  string,
  unknown
>

/** A record with some or all of its fields; the version decides the url it names. */
export function renderRecord(
  record: StoredRecord,
  fields: readonly FieldDefinition[] = record.object.fields,
  version = 60,
): RenderedRecord {
  const rendered: RenderedRecord = {
    attributes: { type: record.object.name, url: urlOf(record, version) },
    Id: record.id,
  }
  for (const field of fields) if (field.name !== 'Id') rendered[field.name] = valueOf(record, field.name)
  return rendered
}

/** Path of a record. */
export const urlOf = (record: StoredRecord, version: number): string =>
  `/services/data/v${version}.0/sobjects/${record.object.name}/${record.id}`

function valueOf(record: StoredRecord, name: string): FieldValue {
  switch (name) {
    case 'CreatedDate':
      return renderDateTime(wholeSeconds(record.createdAt))
    case 'LastModifiedDate':
    case 'SystemModstamp':
      return renderDateTime(wholeSeconds(record.modifiedAt))
    case 'CreatedById':
    case 'LastModifiedById':
      return record.values.OwnerId ?? null
    case 'IsDeleted':
      return false
    default:
      return record.object.derived[name]?.(record.values) ?? record.values[name] ?? null
  }
}

/** The platform keeps its own times to the second. */
const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000
