import { createHash } from 'node:crypto'
import type { WriteType } from './write.ts'

/**
 * What writes must have in common to travel together (contract section 6.3; design, Tables). Headers
 * and options are kept in one spelling: sorted, without defaults.
 */
export interface LaneKey {
  projectId: string
  integrationId: string
  installationId: string
  /** The provider's name of the object. */
  objectName: string
  type: WriteType
  externalIdField: string | null
  allOrNone: boolean
  onRollback: 'fail' | 'resend'
  merge: boolean
  headers: { key: string; value: string }[]
  options: Record<string, boolean>
  /** The caller-built batch that the lane is for, whose members never mix with others; else null. */
  operationId: string | null
}

/** The part of a key that an installation's lanes differ by, as one text: equal texts, same lane. */
export const laneKeyText = (key: LaneKey): string =>
  JSON.stringify([
    key.objectName,
    key.type,
    key.externalIdField,
    key.allOrNone,
    key.onRollback,
    key.merge,
    key.headers.map((header) => [header.key.toLowerCase(), header.value]).sort(),
    Object.entries(key.options).sort(([a], [b]) => (a < b ? -1 : 1)),
    ...(key.operationId === null ? [] : [key.operationId]),
  ])

/** SHA-256 of {@link laneKeyText}: what the unique index holds, at any length of the key. */
export const laneKeyHash = (text: string): Buffer => createHash('sha256').update(text).digest()
