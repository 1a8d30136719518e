import { objectNames, recordOf, type ObjectName } from '../peers/records.ts'
import type { LoadRequest } from './load-protocol.ts'

/** The objects of a backlog on five objects. */
export const fiveObjects: readonly ObjectName[] = objectNames
export const oneObject: readonly ObjectName[] = objectNames.slice(0, 1)

/** A record to be created. */
export interface MadeWrite {
  object: ObjectName
  record: Record<string, unknown>
}

/** Creates on the objects in turn, the same for a seed: those that the limits send too. */
export const makeWrites = (seed: number, count: number, objects = fiveObjects): MadeWrite[] =>
  Array.from({ length: count }, (_, index) => {
    const object = objects[index % objects.length] ?? 'Contact'
    return { object, record: recordOf(object, seed * 10_000 + index) }
  })

/** Where writes are posted to. */
export interface WriteTarget {
  url: string
  pathOf: (object: string) => string
  headers: Record<string, string>
  groupRef: string
}

/** The body of an asynchronous single-record create (contract section 5). */
export const bodyOf = (
  groupRef: string,
  { record }: MadeWrite,
  policy?: object,
): Record<string, unknown> => ({
  groupRef,
  type: 'create',
  mode: 'asynchronous',
  record,
  ...(policy === undefined ? {} : { autoBatchPolicy: policy }),
})

/** The calls that post writes to a target, one for each. */
export const toRequests = (
  target: WriteTarget,
  writes: readonly MadeWrite[],
  policy?: object,
): LoadRequest[] =>
  writes.map((write) => ({
    method: 'POST',
    path: target.pathOf(write.object),
    headers: { ...target.headers, 'content-type': 'application/json' },
    body: JSON.stringify(bodyOf(target.groupRef, write, policy)),
  }))

/** Bulk calls of so many writes each, as lines (contract section 5). */
export function toBulkRequests(
  target: WriteTarget,
  writes: readonly MadeWrite[],
  perCall: number,
): LoadRequest[] {
  const path = target.pathOf('').replace(/objects\/$/, 'writes')
  const calls = Array.from({ length: Math.floor(writes.length / perCall) }, (_, place) =>
    writes.slice(place * perCall, (place + 1) * perCall),
  )
  return calls.map((own) => ({
    method: 'POST',
    path,
    headers: { ...target.headers, 'content-type': 'application/x-ndjson' },
    body: own
      .map((write) => `${JSON.stringify({ objectName: write.object, ...bodyOf(target.groupRef, write) })}\n`)
      .join(''),
  }))
}
