import { areInteractions, INTERACTION_KEY, INTERACTION_OBJECT } from '../../model/engagement.ts'
import type { LookedUp, LookUp, Match } from '../provider.ts'
import { isObject, type Json } from './answer.ts'
import { refusedHere, type CallSeries } from './call-series.ts'
import { asRead } from './fetch-json.ts'
import { query, valueOf, type ReadingUse } from './read-fields.ts'

/** The key of interactions as their object has it: not documented, so an org may refuse it (facts 11). */
const KEY_FIELD = 'ExternalIdentifierId'

/** Looks for interactions by what identifies them outside of the org: one query for a group. */
export async function lookUpInteractions(
  series: CallSeries,
  { objectName, records }: LookUp,
  use: ReadingUse,
): Promise<LookedUp> {
  const keys = areInteractions({ objectName }) ? records.map(keyOf) : []
  if (keys.length < records.length || keys.includes(''))
    return refusedHere('INVALID_LOOK_UP', 'The record has nothing to be found by.', 'permanent')
  const read = { objectName: INTERACTION_OBJECT, keyField: KEY_FIELD, keys, fields: ['Id'] }
  const answer = await query(series, read, false, use)
  if (answer.kind !== 'rows') return asRead(answer)
  // A query minds no letter case: what differs in it is another interaction, and yet no proof that there is none.
  const byKey = Map.groupBy(answer.rows, (row) => textOf(valueOf(row, KEY_FIELD)).toLowerCase())
  return { kind: 'found', matches: keys.map((key) => matchOf(key, byKey.get(key.toLowerCase()) ?? [])) }
}

function matchOf(key: string, rows: readonly Json[]): Match {
  const [row, ...others] = rows.filter((one) => textOf(valueOf(one, KEY_FIELD)) === key)
  if (row === undefined) return rows.length === 0 ? null : 'unclear'
  const id = valueOf(row, 'Id')
  return others.length === 0 && typeof id === 'string' ? { id, raw: row } : 'unclear'
}

function keyOf(record: string): string {
  const { engagementInteraction } = JSON.parse(record) as { engagementInteraction?: unknown }
  return isObject(engagementInteraction) ? textOf(engagementInteraction[INTERACTION_KEY]) : ''
}

/** An org keeps texts without the space around them. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '')
