import type { Telemetry } from '../kernel/telemetry.ts'
import { classOf } from './code-classes.ts'
import type { Instruments } from './instruments.ts'

/** Seconds from the time that a UUIDv7 begins with to `now`; 0 where another host's clock is ahead. */
const ageSeconds = (id: string, now: number): number =>
  Math.max(0, now - Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)) / 1000

/** The class of a status: `2xx`; `none` without one. */
const statusClass = (status: number | null): string =>
  status === null ? 'none' : `${Math.floor(status / 100)}xx`

/** Counts what the floors tell. */
export function createSubscriber(instruments: Instruments, now: () => number): Telemetry {
  const { ended } = instruments
  const end = (outcome: string, kind: string, writes: number): void => {
    if (writes > 0) ended.inc({ outcome, class: kind }, writes)
  }
  return {
    accepted: (mode, type, writes) => instruments.accepted.inc({ mode, type }, writes),
    replayed: (mode, calls) => instruments.replayed.inc({ mode }, calls),
    problem: (code) => instruments.problems.inc({ code }),
    committed: (writes, seconds) => {
      instruments.commitWrites.observe(writes)
      instruments.commitSeconds.observe(seconds)
    },
    commitFailed: () => instruments.commitFailures.inc(),
    providerCalled: (operation, status, seconds) => {
      instruments.providerCalls.inc({ operation, status: statusClass(status) })
      instruments.providerSeconds.observe({ operation }, seconds)
    },
    groupSent: (trigger, writes, lateSeconds) => {
      instruments.groupWrites.observe({ trigger }, writes)
      if (trigger === 'deadline') instruments.groupLateSeconds.observe(lateSeconds)
    },
    callMade: (writes, apiCalls) => {
      instruments.writesSent.inc(writes)
      // A counter never goes down: a call that had to be made twice for one write saved nothing.
      if (writes > apiCalls) instruments.callsSaved.inc(writes - apiCalls)
    },
    settled: (settled) => {
      end('succeeded', 'none', settled.succeeded)
      end('in_doubt', 'none', settled.inDoubt)
      for (const [code, writes] of Object.entries(settled.failed)) end('failed', classOf(code), writes)
      if (settled.retried > 0) instruments.retries.inc(settled.retried)
      if (settled.deferred > 0) instruments.deferred.inc(settled.deferred)
      const at = now()
      for (const id of settled.ended) instruments.outcomeSeconds.observe(ageSeconds(id, at))
    },
    ended: (outcome, code, writes) => end(outcome, outcome === 'in_doubt' ? 'none' : classOf(code), writes),
    delivered: (result, seconds) => {
      instruments.deliveries.inc({ result })
      instruments.deliverySeconds.observe(seconds)
    },
    deliveryGivenUp: () => instruments.deliveriesGivenUp.inc(),
    destinationOff: (reason) => instruments.destinationsOff.inc({ reason }),
    rescued: (started) => instruments.rescues.inc({ started: String(started) }),
    answered: countRequests(instruments),
  }
}

/** Label sets are kept: this is called for each request. There are as many as routes and statuses. */
function countRequests({ requests, requestSeconds }: Instruments): Telemetry['answered'] {
  const kept = new Map<string, { method: string; route: string; status: string }>()
  const timed = new Map<string, { method: string; route: string }>()
  return (givenMethod, givenRoute, status, seconds) => {
    const route = givenRoute ?? 'none'
    // Whatever is asked for at no route of ours must not make labels of its own.
    const method = givenRoute === null ? 'any' : givenMethod
    const name = `${method} ${route}`
    const key = `${name} ${status}`
    let labels = kept.get(key)
    if (labels === undefined) {
      labels = { method, route, status: String(status) }
      kept.set(key, labels)
      if (!timed.has(name)) timed.set(name, { method, route })
    }
    requests.inc(labels)
    const timer = timed.get(name)
    if (timer !== undefined) requestSeconds.observe(timer, seconds)
  }
}
