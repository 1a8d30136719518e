import type { Sql, Tx } from '../db/connect.ts'
import { tally } from '../kernel/tally.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'
import { announceEnded } from '../queue/outcome-channel.ts'
import { settleBatch, type BatchRecord, type Settled, type Settlement } from '../queue/settle-batch.ts'
import { decideGroup, type GroupMember, type GroupRules } from './decide-group.ts'
import type { Decision } from './decide.ts'

/** A member of a batch whose call has ended in some way. */
export interface SettledMember extends Omit<GroupMember, 'attempts'> {
  id: string
  /** Provider calls made before this one. */
  attempts: number
}

/** Sets the wake-up of a lane in the transaction that records a batch. */
export type NudgeInTransaction = (
  tx: Tx,
  wakeups: { laneId: string; installationId: string; at: Date }[],
) => Promise<void>

/** What is recorded of a batch beside its members. */
export type BatchFacts = Pick<
  BatchRecord,
  'batchId' | 'laneId' | 'installationId' | 'keyed' | 'called' | 'onlyExpired'
>

/** A settlement that says nothing: the starting point of all. */
export const unsettled: Omit<Settlement, 'writeId' | 'state'> = {
  recordId: null,
  created: null,
  errors: null,
  delaySeconds: 0,
  rolledBack: false,
  spent: true,
  maxRecords: null,
  alone: false,
  lost: null,
  unwritten: false,
}

/** Outcomes counted, for the log line of the batch. */
export interface Recorded extends Settled {
  succeeded: number
  failed: number
  retried: number
  inDoubt: number
  /** Of the retried: those that a limit of the org turned away, and those that were never sent. */
  deferred: number
  released: number
  /** Kept by a synchronous call for another try at once. */
  kept: number
  /** Codes of the provider's errors, with how many members had each. */
  codes: Record<string, number>
  /** The same of those that failed. */
  failures: Record<string, number>
}

/**
 * Decides for every member and records it all in one transaction: batch, members, attempts, the lane's
 * next wake-up, and the word to those who wait.
 */
export async function recordBatch(
  sql: Sql,
  nudge: NudgeInTransaction,
  facts: BatchFacts,
  rules: GroupRules,
  members: SettledMember[],
  answer: CallAnswer,
  random: () => number,
): Promise<Recorded> {
  // One draw for the group: those of its members that are sent again stay together, and cost one call.
  const draw = random()
  const counted = members.map((member) => ({ ...member, attempts: member.attempts + (facts.called ? 1 : 0) }))
  const decisions = decideGroup(answer, counted, rules, draw)
  const settlements = decisions.map((decision, position) =>
    toSettlement(counted[position]?.id ?? '', decision),
  )
  return recordSettlements(sql, nudge, { ...facts, ...describeAnswer(answer), next: null }, settlements)
}

/** Gives a batch that was never sent back to its lane: no attempt is spent, its members are due as before. */
export async function releaseBatch(
  sql: Sql,
  nudge: NudgeInTransaction,
  facts: Omit<BatchFacts, 'called'>,
  memberIds: string[],
): Promise<Recorded> {
  const settlements = memberIds.map((id): Settlement => ({ ...unsettled, writeId: id, state: 'queued' }))
  return recordSettlements(sql, nudge, neverSent(facts), settlements)
}

/** Ends a batch that was never sent, and its members with it. */
export async function failBatch(
  sql: Sql,
  nudge: NudgeInTransaction,
  facts: Omit<BatchFacts, 'called'>,
  memberIds: string[],
  error: ProviderError,
  alongside?: Alongside,
): Promise<Recorded> {
  const settlements = memberIds.map((id): Settlement => ({
    ...unsettled,
    writeId: id,
    state: 'failed',
    errors: [error],
  }))
  return recordSettlements(sql, nudge, neverSent(facts), settlements, alongside)
}

const neverSent = (facts: Omit<BatchFacts, 'called'>): BatchRecord => ({
  ...facts,
  called: false,
  providerStatus: null,
  answer: 'released',
  usage: null,
  next: null,
})

/** What is recorded with a settlement, if it applies. */
export type Alongside = (tx: Tx) => Promise<void>

/** Settles a batch, sets the wake-ups that follow from it and tells those who wait, in one transaction. */
export async function recordSettlements(
  sql: Sql,
  nudge: NudgeInTransaction,
  batch: BatchRecord,
  settlements: Settlement[],
  alongside?: Alongside,
): Promise<Recorded> {
  const settled = await sql.begin(async (tx) => {
    const result = await settleBatch(tx, batch, settlements)
    await nudge(tx, result.wake)
    await announceEnded(tx, result.ended, result.isAwaited)
    if (result.applied) await alongside?.(tx)
    return result
  })
  return { ...settled, ...countOutcomes(settlements) }
}

/** What is kept of a call's answer with its batch. */
export const describeAnswer = (
  answer: CallAnswer,
): Pick<BatchRecord, 'providerStatus' | 'answer' | 'usage'> => ({
  providerStatus: answer.kind === 'not_sent' ? null : answer.status,
  answer: answer.kind,
  usage: answer.kind === 'answered' || answer.kind === 'refused' ? answer.usage : null,
})

/** A decision as the move that it is. */
export function toSettlement(writeId: string, decision: Decision): Settlement {
  switch (decision.move) {
    case 'succeed':
      return {
        ...unsettled,
        writeId,
        state: 'succeeded',
        recordId: decision.recordId,
        created: decision.created,
      }
    case 'fail':
      return { ...unsettled, writeId, state: 'failed', errors: decision.errors }
    case 'doubt':
      return {
        ...unsettled,
        writeId,
        state: 'in_doubt',
        errors: decision.errors,
        lost: decision.lost ?? null,
      }
    case 'retry': {
      const { errors, delaySeconds } = decision
      const {
        rolledBack = false,
        maxRecords = null,
        alone = false,
        lost = null,
        unwritten = false,
      } = decision
      const again = { errors, delaySeconds, rolledBack, maxRecords, alone, lost, unwritten }
      return { ...unsettled, writeId, state: 'queued', ...again }
    }
    case 'defer':
      return { ...unsettled, writeId, state: 'queued', errors: decision.errors, spent: false }
  }
}

/** What settlements come to, for the log line of their batch. */
export function countOutcomes(settlements: Settlement[]): Omit<Recorded, keyof Settled> {
  const of = (state: Settlement['state']): number => settlements.filter((s) => s.state === state).length
  const back = settlements.filter(({ state }) => state === 'queued')
  const codesOf = (some: readonly Settlement[]): string[] =>
    some.flatMap(({ errors }) => errors?.[0]?.code ?? [])
  const codes = tally(codesOf(settlements))
  const failures = tally(codesOf(settlements.filter(({ state }) => state === 'failed')))
  return {
    succeeded: of('succeeded'),
    failed: of('failed'),
    retried: back.length,
    inDoubt: of('in_doubt'),
    deferred: back.filter(({ spent }) => !spent).length,
    released: back.filter(({ spent, errors }) => spent && errors === null).length,
    kept: of('sending'),
    codes,
    failures,
  }
}
