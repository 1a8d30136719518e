import type { Clock } from '../../kernel/clock.ts'
import { areInteractions, INTERACTION_KEY, INTERACTION_OBJECT } from '../../model/engagement.ts'
import type { LookedUp, LookUp, Match, SoughtRecord } from '../provider.ts'
import { isObject, type Json } from './answer.ts'
import { refusedHere, type CallSeries } from './call-series.ts'
import { asRead } from './fetch-json.ts'
import { parseApiUsage } from './limits.ts'
import { query, valueOf, type ReadingUse } from './read-fields.ts'

/** The key of interactions as their object has it: not documented, so an org may refuse it (facts 11). */
const KEY_FIELD = 'ExternalIdentifierId'
const MADE_FIELD = 'CreatedDate'

/**
 * What the times of one org may differ by: both that are compared are cut to whole seconds, and a record's is
 * given by another host than an answer's.
 */
const CLOCK_MARGIN_MS = 5_000

/** Looks for interactions by what identifies them outside of the org: one query for a group. */
export async function lookUpInteractions(
  series: CallSeries,
  { objectName, records }: LookUp,
  use: ReadingUse,
  clock: Clock,
): Promise<LookedUp> {
  const keys = areInteractions({ objectName }) ? records.map(({ text }) => keyOf(text)) : []
  if (keys.length < records.length || keys.includes(''))
    return refusedHere('INVALID_LOOK_UP', 'The record has nothing to be found by.', 'permanent')
  const read = { objectName: INTERACTION_OBJECT, keyField: KEY_FIELD, keys, fields: ['Id', MADE_FIELD] }
  const answer = await query(series, read, false, use)
  if (answer.kind !== 'rows') return asRead(answer)
  const { date, 'sforce-limit-info': limits } = series.headers
  // By how much the org's clock is ahead of this process's: all that an answer says of time is by its own.
  const aheadMs = (Date.parse(date ?? '') || clock.now()) - clock.now()
  // A query minds no letter case: what differs in it is another interaction, and yet no proof that there is none.
  const byKey = Map.groupBy(answer.rows, (row) => textOf(valueOf(row, KEY_FIELD)).toLowerCase())
  const matches = records.map((sought, place): Match => {
    const key = keys[place] ?? ''
    return matchOf(key, byKey.get(key.toLowerCase()) ?? [], { ...sought, since: sought.since + aheadMs })
  })
  return { kind: 'found', matches, usage: parseApiUsage(limits) }
}

/** @param sought its time by the org's clock */
function matchOf(key: string, rows: readonly Json[], sought: SoughtRecord): Match {
  const possible = rows.filter((row) => !isOther(row, sought))
  const [row, ...further] = possible.filter((one) => textOf(valueOf(one, KEY_FIELD)) === key)
  if (row === undefined) return rows.length === 0 ? null : possible.length === 0 ? 'other' : 'unclear'
  const id = valueOf(row, 'Id')
  return further.length === 0 && typeof id === 'string' ? { id, raw: row } : 'unclear'
}

/** Whether a record is certainly not the one that is sought: known as another, or made before that was sent. */
const isOther = (row: Json, { since, others }: SoughtRecord): boolean =>
  others.includes(textOf(valueOf(row, 'Id'))) ||
  Date.parse(textOf(valueOf(row, MADE_FIELD))) < since - CLOCK_MARGIN_MS

function keyOf(text: string): string {
  const { engagementInteraction } = JSON.parse(text) as { engagementInteraction?: unknown }
  return isObject(engagementInteraction) ? textOf(engagementInteraction[INTERACTION_KEY]) : ''
}

/** An org keeps texts without the space around them. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '')
