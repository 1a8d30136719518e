import type { Fault } from '../../src/simulator/start.ts'
import { Draw } from './draw.ts'
import type { PlannedFault } from './plan.ts'

const MEAN_GAP_MS = 700

/** Everything but the login host: what happens there is not a write. */
const data = { pathContains: '/services/data' }

const once = (action: Fault['action']): Fault => ({ match: data, action })

/**
 * What the org does wrong, by how often. None of it lies: an answer that says that nothing was done comes
 * only where nothing was. A request is held for less than a lease at most, since an org that executes a
 * request after its sender was given up for dead would break the order of writes whatever one does. Locks
 * and limits are rare, since each halves what an installation may have in flight for minutes.
 */
const faults: readonly (readonly [make: (draw: Draw) => Fault, weight: number])[] = [
  [() => once({ type: 'dropAfter' }), 4],
  [() => once({ type: 'cutAnswer' }), 3],
  [() => once({ type: 'dropBefore' }), 3],
  [() => once({ type: 'status', canned: 'unknownException', when: 'after' }), 2],
  [() => once({ type: 'status', canned: 'gatewayTimeoutHtml', when: 'after' }), 1],
  [() => once({ type: 'status', canned: 'badGatewayHtml', when: 'after' }), 1],
  [() => once({ type: 'status', canned: 'serverErrorHtml' }), 1],
  [() => once({ type: 'status', canned: 'serverUnavailable' }), 1],
  [() => once({ type: 'status', canned: 'concurrentRequests' }), 0.3],
  [() => once({ type: 'forgetRecord' }), 1],
  [() => once({ type: 'wrongShape' }), 1],
  [() => once({ type: 'hang', when: 'after' }), 1],
  [(draw) => once({ type: 'delay', ms: draw.whole(300, 3_000), when: draw.from(['before', 'after']) }), 8],
  [(draw) => ({ times: draw.whole(1, 20), action: { type: 'recordError', canned: 'lockedRow' } }), 1.5],
  [() => ({ action: { type: 'recordError', canned: 'apexLock' } }), 0.5],
  [() => once({ type: 'expireSessions' }), 2],
]

/** Faults one after the other; each strikes the next request that it fits. */
export function planFaults(seconds: number, seed: number): PlannedFault[] {
  const draw = new Draw(seed * 31 + 2_000)
  const planned: PlannedFault[] = []
  for (let at = draw.wait(MEAN_GAP_MS); at < seconds * 1000; at += draw.wait(MEAN_GAP_MS))
    planned.push({ at: Math.round(at), fault: draw.weighted(faults)(draw) })
  return planned
}
