import type { Tx } from '../db/connect.ts'

/*
 * Pacing (contract section 6.9; design, Isolation and limits): how much leaves for an installation, and
 * what an org's limits hold back. Asking is read-pace, learning from each call is record-pace.
 *
 * Whoever is held back by its org locks the org's row until the commit that puts its lane off. Whoever
 * lifts a limit changes that row before looking for lanes to wake. So no lane is put off by a limit that
 * has lifted meanwhile, and none that was put off is missed. Rows are locked in the order org, pacing,
 * lanes, everywhere.
 */

/** Seconds between two calls that look whether a limit still holds: 5 minutes, less what a wake-up may take. */
export const PROBE_SECONDS = 290
/** Part of its budget that usage must sink below until an installation sends again: 75 % of the org's limit for 90 %. */
const RESUME_SHARE = 75 / 90
/** Seconds until a full installation is looked at again. */
const FULL_SECONDS = 0.25
/** Seconds at least until anything is looked at again: what is due a moment too early asks twice in vain. */
const LEAST_SECONDS = 0.05

/** Whether an asynchronous call may leave now; if not, why, and when to look again. */
export type Pace =
  | { go: true }
  | {
      go: false
      /** `quota`: over its budget; `limit`: a limit of the org was hit; `concurrency`: enough is in flight. */
      reason: 'quota' | 'limit' | 'concurrency'
      seconds: number
    }

/** Who asks to make a call. */
export interface PaceRequest {
  installationId: string
  /** What the org is known by, for its limits. */
  org: string
  /** Calls that the installation may have in flight at once, as long as nothing has cut that. */
  maxConcurrency: number
  /** Percentage of the org's daily calls past which the installation's asynchronous ones wait. */
  budgetPercent: number
}

type Verdict = 'go' | 'paused' | 'blocked' | 'over' | 'full'

/**
 * Whether an asynchronous call to an installation may leave now. Call it with the installation's claim
 * lock held, had by an earlier statement: the calls in flight are counted here.
 *
 * While a limit holds, one call is let through now and then, to see whether it still does; being told to
 * go may be that one, so ask only when something is there to be sent. For an org whose day's calls are
 * used up it is one call for all of its installations, which wait for it whatever their budgets.
 */
export async function readPace(tx: Tx, request: PaceRequest): Promise<Pace> {
  const [row] = await paceStatement(tx, request)
  const verdict = row?.verdict ?? 'go'
  if (verdict === 'go') return { go: true }
  const seconds = Math.max(row?.seconds ?? 0, LEAST_SECONDS)
  return { go: false, reason: reasons[verdict], seconds }
}

const reasons = { paused: 'limit', blocked: 'limit', over: 'quota', full: 'concurrency' } as const

/**
 * The one statement of {@link readPace}, not sent yet: exported so that its plan can be held by a test.
 * Where nothing holds and nothing changes it only reads.
 */
export const paceStatement = (tx: Tx, request: PaceRequest) => {
  const { installationId, org, maxConcurrency, budgetPercent } = request
  const resumesBelow = budgetPercent * RESUME_SHARE
  return tx<{ verdict: Verdict; seconds: number | null }[]>`
    with asking as materialized (
      select statement_timestamp() as at, p.org, p.resumes_below, p.probe_at, p.paused_until,
        least(${maxConcurrency}::int,
          p.concurrency + floor(extract(epoch from statement_timestamp() - p.concurrency_at) / 60)) as allowed,
        (select count(distinct call_id) from batch
         where installation_id = ${installationId} and state <> 'ended' and not synchronous) as in_flight,
        case when p.resumes_below is null then ${budgetPercent}::float8 else ${resumesBelow}::float8 end as over_from
      from (values (1)) one left join pacing p on p.installation_id = ${installationId}
    ), held as materialized (
      -- empty where the org holds nothing back: a call to it then locks no row
      select o.blocked_until, o.resumes_below as org_resumes_below, usage.over
      from org_usage o cross join asking a cross join lateral (
        select o.read_at > a.at - interval '24 hours'
          and o.api_used * 100.0 >= a.over_from * nullif(o.api_limit, 0) as over
      ) usage
      where o.org = ${org} and (o.blocked_until is not null or usage.over)
      for no key update of o
    ), judged as materialized (
      select a.*, h.blocked_until, h.org_resumes_below, coalesce(h.over, false) as over,
        case when a.paused_until > a.at then 'paused'
             when h.blocked_until > a.at then 'blocked'
             when h.blocked_until is null and h.over and (a.resumes_below is null or a.probe_at > a.at) then 'over'
             when a.in_flight >= a.allowed then 'full'
             else 'go' end as verdict
      from asking a left join held h on true
    ), probed as (
      update org_usage o set
        blocked_until = case when j.verdict = 'go' and o.blocked_until is not null
                             then j.at + make_interval(secs => ${PROBE_SECONDS}) else o.blocked_until end,
        resumes_below = case when j.over then greatest(o.resumes_below, ${resumesBelow}::float8) else o.resumes_below end
      from judged j
      where o.org = ${org} and ((j.verdict = 'go' and j.blocked_until is not null)
        or (j.over and (j.org_resumes_below is null or j.org_resumes_below < ${resumesBelow}::float8)))
    ), noted as (
      insert into pacing as p (installation_id, org, resumes_below, probe_at)
      select ${installationId}::uuid, ${org}::text,
        case when j.over then ${resumesBelow}::float8 end,
        case when j.over and (j.verdict = 'go' or j.resumes_below is null)
             then j.at + make_interval(secs => ${PROBE_SECONDS}) else j.probe_at end
      from judged j
      where (j.resumes_below is null) = j.over
        or (j.over and j.verdict = 'go')
        or (j.verdict in ('blocked', 'over') and j.org is distinct from ${org})
      on conflict (installation_id) do update set
        org = excluded.org, resumes_below = excluded.resumes_below, probe_at = excluded.probe_at
    )
    select verdict,
      case verdict
        when 'paused' then extract(epoch from paused_until - at)::float8
        when 'blocked' then extract(epoch from blocked_until - at)::float8
        when 'over' then case when resumes_below is null then ${PROBE_SECONDS}::float8
                              else extract(epoch from probe_at - at)::float8 end
        when 'full' then ${FULL_SECONDS}::float8
      end as seconds
    from judged`
}
