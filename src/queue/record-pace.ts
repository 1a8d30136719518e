import type { Tx } from '../db/connect.ts'
import type { ApiUsage, ThrottleKind } from '../model/outcome.ts'
import { resumeLanesOfOrg } from './resume-lanes.ts'
import type { WokenLane } from './record-order.ts'

/** Seconds that an org is left alone when its day's calls are used up, and by how much chance shortens that. */
const BLOCK_SECONDS = { most: 300, jitter: 60 }
/** Seconds that an installation is left alone after a limit that passes in seconds, and what chance adds. */
const PAUSE_SECONDS = { least: 5, jitter: 10 }
/** Seconds within which a usage as known before is not written down again. */
const SAME_USAGE_SECONDS = 60
/** Seconds by which answers may overtake each other beyond the calls' own length. */
const OVERTAKING_SECONDS = 1

/** What one call, an asynchronous or a synchronous one, said of its org's limits. */
export interface PaceReport {
  installationId: string
  /** What the org is known by, for its limits. */
  org: string
  usage: ApiUsage | null
  throttle: ThrottleKind | null
  /** Whether a row lock was met. */
  locked: boolean
  /** Milliseconds that the call took: what was cut or blocked since it began is not news from it. */
  callMs: number
  /** Whether the org answered and refused nothing for a limit. */
  passed: boolean
  /** Calls that the installation may have in flight at once, as long as nothing has cut that. */
  maxConcurrency: number
  /** Evenly drawn from 0 to 1. */
  random: number
}

/**
 * Learns from one call: how much of the org's calls is used, and which limit was hit or has lifted.
 *
 * It locks the org's row until the transaction ends, and the lanes that it returns: give it a transaction
 * of its own, or one that has locked no lane yet. A call without news only reads.
 *
 * @returns the lanes that are due now since a limit lifted; their wake-ups are to be set in the same transaction
 */
export async function recordPace(tx: Tx, report: PaceReport): Promise<WokenLane[]> {
  const [learnt] = await learn(tx, report)
  if (report.throttle === 'daily') await block(tx, report)
  else if (report.throttle !== null || report.locked) await slowDown(tx, report)
  const lifted = learnt?.blocked === true && report.passed && (await unblock(tx, report)).length > 0
  return lifted || learnt?.eased === true ? resume(tx, report.org) : []
}

/** When a call began, as the database's clock has it. */
const began = (tx: Tx, report: PaceReport) =>
  tx`(statement_timestamp() - make_interval(secs => ${report.callMs / 1000}))`

/**
 * Writes down the usage and which org the installation's call went to, where that is news. A lower count
 * than one that was read while the call was under way may be the older of the two, so it is left out; the
 * next one, if it is still lower, is not.
 */
const learn = (tx: Tx, report: PaceReport) => {
  const { installationId, org, usage } = report
  const overtaken = (known: 'k' | 'o') =>
    tx`coalesce(${tx(known)}.api_limit = ${usage?.limit ?? null}::int and ${tx(known)}.api_used > ${usage?.used ?? null}::int
      and ${tx(known)}.read_at > ${began(tx, report)} - make_interval(secs => ${OVERTAKING_SECONDS}), false)`
  return tx<{ eased: boolean; blocked: boolean }[]>`
    with read as (
      insert into org_usage as o (org, api_used, api_limit, read_at)
      select ${org}::text, ${usage?.used ?? null}::int, ${usage?.limit ?? null}::int, statement_timestamp()
      where ${usage !== null} and not exists (
        select from org_usage k where k.org = ${org} and (${overtaken('k')}
          or (k.api_used = ${usage?.used ?? null}::int and k.api_limit = ${usage?.limit ?? null}::int
              and k.read_at > statement_timestamp() - make_interval(secs => ${SAME_USAGE_SECONDS}))))
      on conflict (org) do update set
        api_used = excluded.api_used, api_limit = excluded.api_limit, read_at = excluded.read_at
        where not ${overtaken('o')}
      returning o.api_used * 100.0 < o.resumes_below * o.api_limit as eased
    ), sent as (
      insert into pacing (installation_id, org)
      -- after the org's row
      select ${installationId}::uuid, ${org}::text from (select count(*) from read) first
      where not exists (select from pacing p where p.installation_id = ${installationId} and p.org = ${org})
      on conflict (installation_id) do update set org = excluded.org
    )
    select coalesce((select eased from read), false) as eased,
      exists (select from org_usage where org = ${org} and blocked_at is not null) as blocked`
}

/** The day's calls of the org are used up. */
const block = (tx: Tx, { org, random }: PaceReport) => {
  const seconds = BLOCK_SECONDS.most - BLOCK_SECONDS.jitter * random
  return tx`
    insert into org_usage (org, blocked_at, blocked_until)
    values (${org}::text, statement_timestamp(), statement_timestamp() + make_interval(secs => ${seconds}))
    on conflict (org) do update set blocked_at = excluded.blocked_at, blocked_until = excluded.blocked_until`
}

/** A call that began after the org was blocked got through. */
const unblock = (tx: Tx, report: PaceReport) => tx`
  update org_usage set blocked_at = null, blocked_until = null
  where org = ${report.org} and blocked_at < ${began(tx, report)}
  returning org`

/**
 * Halves what the installation may have in flight, from what it was at this moment, unless that was cut
 * since the call began; and pauses it where a limit asks for that. Its row is there: {@link learn} made it.
 */
const slowDown = (tx: Tx, report: PaceReport) => {
  const { installationId, maxConcurrency, throttle, random } = report
  const seconds = throttle === null ? null : PAUSE_SECONDS.least + PAUSE_SECONDS.jitter * random
  const isCut = tx`concurrency_at > ${began(tx, report)}`
  return tx`
    update pacing set
      paused_until = greatest(paused_until, statement_timestamp() + make_interval(secs => ${seconds})),
      concurrency = case when ${isCut} then concurrency
        else greatest(1, floor(least(${maxConcurrency}::int,
          concurrency + floor(extract(epoch from statement_timestamp() - concurrency_at) / 60)) / 2)) end,
      concurrency_at = case when ${isCut} then concurrency_at else statement_timestamp() end
    where installation_id = ${installationId}`
}

/**
 * Wakes what the org's limits held, of all its installations; each asks again whether it may send. Reads
 * anew: what was put off while the org's row was waited for is to be seen.
 */
async function resume(tx: Tx, org: string): Promise<WokenLane[]> {
  await tx`
    with usage as (
      update org_usage set resumes_below = null where org = ${org} returning api_used, api_limit
    )
    update pacing p set resumes_below = null
    from usage u where p.org = ${org} and u.api_used * 100.0 < p.resumes_below * u.api_limit`
  return resumeLanesOfOrg(tx, org)
}
