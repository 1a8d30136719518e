import type { Fault } from '../../src/simulator/start.ts'
import { planFaults } from './plan-faults.ts'
import { planKills, type Kill } from './plan-kills.ts'
import { planLoad, type Load } from './plan-load.ts'

/** A fault of the org, and when it begins; milliseconds from the start of the load. */
export interface PlannedFault {
  at: number
  fault: Fault
}

/** All that a seed decides. */
export interface Plan extends Load {
  /** In the order of time. */
  kills: Kill[]
  faults: PlannedFault[]
}

/** What a plan is made from. */
export interface PlanOptions {
  seconds: number
  seed: number
  /** Writes a second. */
  rate: number
}

/**
 * Decides what is written, what is killed and what the org does wrong, and when: the same for the same
 * options. A longer run of a seed begins like a shorter one. Each of the three has a sequence of draws of
 * its own, so that a change of one leaves the others as they are.
 */
export function makePlan(options: PlanOptions): Plan {
  const { seconds, seed } = options
  return {
    ...planLoad(options),
    kills: planKills(seconds, seed),
    faults: planFaults(seconds, seed),
  }
}
