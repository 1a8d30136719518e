import type { Outcome } from '../../src/cli/demo/post.ts'
import type { Plan, PlannedWrite } from '../../src/cli/demo/plan.ts'
import { keyField } from '../../src/cli/demo/records.ts'
import { Org } from '../../src/simulator/org.ts'
import type { Table } from '../../src/simulator/table.ts'
import { Transaction } from '../../src/simulator/table.ts'
import {
  insertRecord,
  updateRecord,
  upsertField,
  upsertRecord,
  type WriteResult,
} from '../../src/simulator/write-record.ts'

/** A plan carried out on an org of its own, without the service in between. */
export interface Applied {
  org: Org
  heldIds: string[]
  /** What the service should tell, in the order of the writes. */
  outcomes: Outcome[]
}

/** Carries a plan out, each write by itself; `order` says in which order (default: the plan's). */
export function applyPlan(plan: Plan, seed: number, order: number[] = [...plan.writes.keys()]): Applied {
  const org = new Org({ seed, apps: [], settings: {} })
  const heldIds = plan.held.map(({ object, values }) => org.create(object, values))
  const outcomes = new Array<Outcome>(plan.writes.length)
  for (const index of order) {
    const write = plan.writes[index]!
    outcomes[index] = toOutcome(index, write, applyWrite(org, write, heldIds))
  }
  return { org, heldIds, outcomes }
}

function applyWrite(org: Org, write: PlannedWrite, heldIds: string[]): WriteResult {
  const table: Table = org.table(write.object)!
  const tx = new Transaction()
  switch (write.type) {
    case 'create':
      return insertRecord(org, tx, table, write.record)
    case 'update':
      return updateRecord(org, tx, table, write.nobody ?? heldIds[write.target!], write.record)
    case 'upsert':
      return upsertRecord(org, tx, table, upsertField(table, keyField)!, write.record)
  }
}

function toOutcome(index: number, write: PlannedWrite, result: WriteResult): Outcome {
  const common = { operationId: `operation-${index}`, reference: write.marker, results: 1, batchId: 'batch' }
  if (!result.success) {
    const errors = result.errors.map(({ statusCode, message, fields }) => ({
      code: statusCode,
      message,
      fields,
    }))
    return { ...common, state: 'failed', recordId: null, created: null, errors, elapsedMs: 20 }
  }
  const created = result.created ?? (write.type === 'create' ? true : null)
  return { ...common, state: 'succeeded', recordId: result.id, created, errors: [], elapsedMs: 10 }
}
