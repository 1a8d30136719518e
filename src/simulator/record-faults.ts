import type { RecordError } from './api-error.ts'
import type { Call, JsonObject } from './call.ts'
import { lockError, raceError } from './contention.ts'
import type { FaultTarget } from './faults.ts'
import type { Org } from './org.ts'
import type { Table } from './table.ts'

/** One record of a collections call, as it came in. */
interface GroupItem {
  table: Table
  input: JsonObject
}

/**
 * The error that another request in flight or a fault gives one record of a call, or undefined.
 * @param groupSize number of records of the call
 */
export function recordFault(
  org: Org,
  call: Call,
  table: Table,
  record: JsonObject,
  groupSize = 1,
): RecordError | undefined {
  const lost = call.contention && (lockError(org, call, table, record) ?? raceError(call, table, record))
  if (lost || !org.faults.anyForRecords) return lost
  return org.faults.recordError(targetOf(call, [table.object.name], [record], groupSize), false)
}

/** The error that all records of a collections call get because of one of them, or undefined. */
export function groupFault(org: Org, call: Call, items: readonly GroupItem[]): RecordError | undefined {
  if (call.contention && org.settings.lockFailsBatch) {
    for (const { table, input } of items) {
      const error = lockError(org, call, table, input)
      if (error) return error
    }
  }
  if (!org.faults.anyForRecords) return undefined
  const objects = [...new Set(items.map((item) => item.table.object.name))]
  const records = items.map((item) => item.input)
  return org.faults.recordError(targetOf(call, objects, records, items.length), true)
}

const targetOf = (
  call: Call,
  objects: string[],
  records: readonly unknown[],
  groupSize: number,
): FaultTarget => ({
  method: call.method,
  path: call.path,
  operations: [call.route.operation],
  objects,
  records,
  size: groupSize,
})
