import type { Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import type { ConfiguredObject, Procedure } from '../../model/object-entry.ts'
import { providerFieldName } from './field-rules.ts'
import { foldCase, quoted, type JsonObject } from './json-values.ts'

/** A procedure as it works on records of its object (contract section 8). */
export interface ProcedureRules {
  procedure: Procedure
  /**
   * The fields of a record that callers of the procedure may not give. What names the record by its id is
   * no field; the external id of an upsert is one, since a new record is given it.
   *
   * @param path JSON pointer of the record
   */
  findRefused: (record: JsonObject, path: string) => Issue[]
  /** The record with the procedure's values in place of the caller's. Variables are to be expanded before. */
  force: (record: JsonObject) => JsonObject
  /** Whether the procedure sets a field, by whichever of its names. */
  forces: (field: string) => boolean
}

/** The procedure of that name; null when the object has none. */
export function findProcedure(entry: ConfiguredObject | undefined, name: string): ProcedureRules | null {
  const procedures = entry?.procedures ?? {}
  const procedure = Object.hasOwn(procedures, name) ? procedures[name] : undefined
  return entry === undefined || procedure === undefined ? null : rulesOf(name, procedure, entry)
}

function rulesOf(name: string, procedure: Procedure, entry: ConfiguredObject): ProcedureRules {
  const known = new Map<string, string>()
  // Records of one call mostly have the same fields.
  const folded = (field: string): string => {
    const fold = known.get(field) ?? foldCase(providerFieldName(field, entry))
    known.set(field, fold)
    return fold
  }
  const { fields, values = {} } = procedure
  const allowed = fields === undefined ? null : new Set(['id', ...fields.map(folded)])
  const forced = new Set(Object.keys(values).map(folded))
  return {
    procedure,
    findRefused: (record, path) => {
      if (allowed === null) return []
      const refused = Object.keys(record).filter((field) => !allowed.has(folded(field)))
      const message = `is not a field that the procedure ${quoted(name)} takes`
      return refused.map((field) => ({ path: pointerTo(path, field), message }))
    },
    force: (record) => {
      const own = Object.entries(record).filter(([field]) => !forced.has(folded(field)))
      return Object.fromEntries([...own, ...Object.entries(values)])
    },
    forces: (field) => forced.has(folded(field)),
  }
}
