import { markerOf, type Plan, type PlannedWrite } from './plan.ts'
import type { Outcome } from './post.ts'
import { demoObjects, type Values } from './records.ts'

/** What the check reads of the org. */
export interface OrgView {
  /** Number of records by object. */
  counts(): Record<string, number>
  /** Every record of an object with its fields. */
  records(object: string): ({ Id: string } & Record<string, unknown>)[]
}

/** What the org must hold of one record. */
interface Wanted {
  object: string
  id: string
  values: Values
  /** Whose record it is, for a message. */
  whose: string
}

/**
 * Compares what the service says with the plan, then with the org: every write one outcome and the
 * expected one; every record that was written holds its own caller's values under the id that its caller
 * was told; what was rejected left nothing; nothing else is there.
 *
 * @param heldIds ids of the plan's held records, by their place
 * @returns a sentence for each difference; none when all agree
 */
export function findDifferences(
  plan: Plan,
  heldIds: readonly string[],
  outcomes: readonly Outcome[],
  org: OrgView,
): string[] {
  return [
    ...outcomeDifferences(plan.writes, outcomes),
    ...countDifferences(plan, org),
    ...recordDifferences(wantedRecords(plan, heldIds, outcomes), org),
  ]
}

function outcomeDifferences(writes: readonly PlannedWrite[], outcomes: readonly Outcome[]): string[] {
  const differences: string[] = []
  const writeOf = new Map<string, string>()
  writes.forEach((write, index) => {
    const outcome = outcomes[index]
    if (outcome === undefined) {
      differences.push(`${write.marker} was not accepted`)
      return
    }
    const other = writeOf.get(outcome.operationId)
    if (other !== undefined) differences.push(`${write.marker} and ${other} have one operation`)
    writeOf.set(outcome.operationId, write.marker)
    const wrong = wrongOutcome(write, outcome)
    if (wrong !== null) differences.push(`${write.marker} (operation ${outcome.operationId}) ${wrong}`)
  })
  return differences
}

/** What is wrong with an outcome, or null. */
function wrongOutcome({ marker, expected, ...write }: PlannedWrite, outcome: Outcome): string | null {
  if (outcome.reference !== marker) return `has the reference ${String(outcome.reference)}`
  if (outcome.state === 'queued' || outcome.state === 'sending') return `has not ended: ${outcome.state}`
  if (outcome.results !== 1) return `has ${outcome.results} results instead of one`
  const codes = outcome.errors.map((error) => error.code).join(', ')
  const said = codes === '' ? outcome.state : `${outcome.state} with ${codes}`
  if (expected.state === 'failed') {
    const asExpected = outcome.state === 'failed' && outcome.errors[0]?.code === expected.code
    return asExpected ? null : `ended ${said}, expected failed with ${expected.code}`
  }
  if (outcome.state !== 'succeeded') return `ended ${said}, expected succeeded`
  if (outcome.recordId === null) return 'succeeded without a record id'
  if (expected.created !== null && outcome.created !== expected.created)
    return `says created: ${String(outcome.created)} for an ${write.type} where ${String(expected.created)} is right`
  return null
}

function countDifferences(plan: Plan, org: OrgView): string[] {
  const counts = org.counts()
  return demoObjects.flatMap((object) => {
    const held = plan.held.filter((record) => record.object === object).length
    const made = plan.writes.filter(
      ({ expected, ...write }) =>
        write.object === object && expected.state === 'succeeded' && expected.created === true,
    ).length
    const found = counts[object] ?? 0
    return found === held + made
      ? []
      : [`the org holds ${found} records of ${object}, expected ${held} from before and ${made} new`]
  })
}

/** What the org must hold: its own records from before, changed by the writes that succeeded, and the new ones. */
function wantedRecords(plan: Plan, heldIds: readonly string[], outcomes: readonly Outcome[]): Wanted[] {
  const wanted = plan.held.map(({ object, values }, place): Wanted => {
    return { object, id: heldIds[place] ?? '', values, whose: `what was there before as ${markerOf(values)}` }
  })
  plan.writes.forEach((write, index) => {
    const outcome = outcomes[index]
    if (outcome?.state !== 'succeeded') return
    const before = write.target === null ? undefined : wanted[write.target]
    const { object, marker: whose } = write
    if (before !== undefined) Object.assign(before, { whose, values: { ...before.values, ...write.record } })
    if (before === undefined || before.id !== outcome.recordId)
      wanted.push({ object, whose, id: outcome.recordId ?? '', values: write.record })
  })
  return wanted
}

function recordDifferences(wanted: readonly Wanted[], org: OrgView): string[] {
  const found = new Map(
    demoObjects.flatMap((object) =>
      org.records(object).map((record) => [record.Id, { object, record }] as const),
    ),
  )
  const differences: string[] = []
  const claimed = new Set<string>()
  for (const { object, id, values, whose } of wanted) {
    const there = found.get(id)
    if (claimed.has(id)) differences.push(`record ${id} was given to ${whose} and to another write`)
    claimed.add(id)
    if (there?.object !== object) {
      differences.push(`the org has no ${object} ${id}, the record of ${whose}`)
      continue
    }
    for (const [field, value] of Object.entries(values)) {
      const held = there.record[field]
      if (held !== value)
        differences.push(
          `${object} ${id} of ${whose} holds ${JSON.stringify(held)} in ${field}, not ${JSON.stringify(value)}`,
        )
    }
  }
  for (const [id, { object, record }] of found)
    if (!claimed.has(id))
      differences.push(
        `the org holds ${object} ${id} of ${markerOf(record)}, which no write should have left`,
      )
  return differences
}
