import type { RecordError } from './api-error.ts'
import type { Call } from './call.ts'
import type { FaultTarget } from './faults.ts'
import type { Org } from './org.ts'

/** The error that a fault gives one record of a call, or undefined. */
export function recordFault(org: Org, call: Call, object: string, record: unknown): RecordError | undefined {
  return org.faults.anyForRecords
    ? org.faults.recordError(targetOf(call, [object], [record]), false)
    : undefined
}

/** The error that a fault gives all records of a call because one of them matches, or undefined. */
export function wholeCallFault(
  org: Org,
  call: Call,
  objects: string[],
  records: readonly unknown[],
): RecordError | undefined {
  return org.faults.anyForRecords ? org.faults.recordError(targetOf(call, objects, records), true) : undefined
}

const targetOf = (call: Call, objects: string[], records: readonly unknown[]): FaultTarget => ({
  method: call.method,
  path: call.path,
  operations: [call.route.operation],
  objects,
  records,
})
