import { WritebackError } from '../kernel/errors.ts'
import type { ConfiguredObject } from '../model/object-entry.ts'
import type { WriteEffect } from './write-effects.ts'

/** Objects that may be written, by name; null when every one may be written and none deleted. */
export type ListedObjects = ReadonlyMap<string, ConfiguredObject> | null

/** Whether the org's list of objects is needed to say what a call deletes. */
export const needsObjectNames = (effects: readonly WriteEffect[], objects: ListedObjects): boolean =>
  objects !== null && effects.some((effect) => 'recordId' in effect)

/**
 * Refuses a custom call that would write what the installation's configuration does not allow (contract
 * section 3), by the same rules as a write.
 *
 * @param nameOf the object of a record's id, by the first three characters of it; null when it cannot be told
 * @throws {WritebackError} FORBIDDEN
 */
export function checkEffects(
  effects: readonly WriteEffect[],
  objects: ListedObjects,
  nameOf: (keyPrefix: string) => string | null,
): void {
  for (const effect of effects) {
    if ('because' in effect) refuseUnclear(effect, objects)
    else if ('object' in effect) checkObject(effect.kind, effect.object, objects)
    else {
      const object = objects === null ? null : nameOf(effect.recordId.slice(0, 3))
      if (object !== null) checkObject('delete', object, objects)
      else
        refuseUnclear({ kind: 'delete', because: `the object of ${effect.recordId} is not known` }, objects)
    }
  }
}

/** Salesforce takes the names of objects in any case. */
const entryOf = (object: string, objects: ListedObjects): ConfiguredObject | undefined =>
  [...(objects?.values() ?? [])].find((entry) => entry.objectName.toLowerCase() === object.toLowerCase())

function checkObject(kind: 'write' | 'delete', object: string, objects: ListedObjects): void {
  const entry = entryOf(object, objects)
  if (objects !== null && entry === undefined)
    throw new WritebackError(
      'FORBIDDEN',
      `The installation's configuration does not list the object ${object}.`,
      { remedy: 'List the object in the installation, or write to one that it lists.' },
    )
  if (kind === 'delete' && entry?.deletionSettings?.enabled !== true)
    throw new WritebackError(
      'FORBIDDEN',
      `The installation's configuration does not allow ${object} to be deleted.`,
      { remedy: "List the object in the installation with deletionSettings.enabled, or don't delete it." },
    )
}

function refuseUnclear(
  { kind, because }: { kind: 'write' | 'delete'; because: string },
  objects: ListedObjects,
): void {
  if (kind === 'write' && objects === null) return
  const rule = kind === 'delete' ? 'which objects may be deleted' : 'which objects may be written'
  throw new WritebackError(
    'FORBIDDEN',
    `The installation's configuration says ${rule}, and what this call does cannot be told: ${because}.`,
    { remedy: 'Use a call that names its object, or make the call outside of Writeback.' },
  )
}
