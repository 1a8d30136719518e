import { Draw } from './draw.ts'

/** The processes that are killed. */
export const targets = ['api-1', 'api-2', 'worker-1', 'worker-2', 'database'] as const
export type Target = (typeof targets)[number]

/** One SIGKILL. */
export interface Kill {
  /** Milliseconds from the start of the load. */
  at: number
  target: Target
  /** Milliseconds until it is started again. */
  downMs: number
}

/** Milliseconds between two kills of one process on average, besides the time that it is down. */
const meanGapMs: Record<Target, number> = {
  'api-1': 20_000,
  'api-2': 20_000,
  'worker-1': 15_000,
  'worker-2': 15_000,
  database: 35_000,
}
/** Milliseconds that a process has to come up before it may be killed again; sometimes it is not enough. */
const LEAST_UP_MS = 2_500
/** Share of the database's outages that outlast a lease. */
const LONG_OUTAGES = 0.1

/** Every process has a sequence of kills of its own, so they also meet: a worker may die while the database is away. */
export function planKills(seconds: number, seed: number): Kill[] {
  return targets
    .flatMap((target, place) => killsOf(target, seconds * 1000, new Draw(seed * 31 + 1_000 + place)))
    .sort((a, b) => a.at - b.at)
}

function killsOf(target: Target, untilMs: number, draw: Draw): Kill[] {
  const kills: Kill[] = []
  let at = draw.wait(meanGapMs[target] / 2)
  while (at < untilMs) {
    const downMs = Math.round(drawDown(target, draw))
    kills.push({ at: Math.round(at), target, downMs })
    at += downMs + LEAST_UP_MS + draw.wait(meanGapMs[target])
  }
  return kills
}

function drawDown(target: Target, draw: Draw): number {
  if (target === 'database' && draw.chance(LONG_OUTAGES)) return draw.between(15_000, 35_000)
  return draw.between(100, 5_000)
}
