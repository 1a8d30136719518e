import { median, medianPercentiles, type Percentiles } from './statistics.ts'

/** Who a figure is of: this service, another way to do the same, or the most that could be had. */
export type Side = 'ours' | 'peer' | 'limit'

/** One measured quantity of one contender. */
export interface Figure {
  label: string
  side: Side
  unit: string
  /** One value for each round. */
  rounds: number[]
  latencyMs?: Percentiles
  /** Processor time by part, in microseconds for each record or request. */
  cpuMicros?: Record<string, number>
}

/** Whether a target is met: null when what it is compared with was not there. */
export interface Verdict {
  target: string
  measured: string
  met: boolean | null
}

/** What a question came to. */
export interface Answer {
  figures: Figure[]
  verdicts: Verdict[]
  notes: string[]
}

/** What one round of one contender brings. */
export interface Round {
  value: number
  latencyMs?: Percentiles
  cpuMicros?: Record<string, number>
}

/** Puts a contender's rounds together. */
export function figureOf(about: Pick<Figure, 'label' | 'side' | 'unit'>, rounds: readonly Round[]): Figure {
  const latencies = rounds.flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [latencyMs]))
  const cpus = rounds.flatMap(({ cpuMicros }) => (cpuMicros === undefined ? [] : [cpuMicros]))
  return {
    ...about,
    rounds: rounds.map((round) => round.value),
    ...(latencies.length === 0 ? {} : { latencyMs: medianPercentiles(latencies) }),
    ...(cpus.length === 0 ? {} : { cpuMicros: medianOfEach(cpus) }),
  }
}

function medianOfEach(all: readonly Record<string, number>[]): Record<string, number> {
  const names = new Set(all.flatMap((one) => Object.keys(one)))
  return Object.fromEntries([...names].map((name) => [name, median(all.flatMap((one) => one[name] ?? []))]))
}

/** A target of the form "at least so many times the other's", in medians. */
export function atLeast(
  least: number,
  ours: Figure | undefined,
  other: Figure | undefined,
  as: 'times' | 'percent',
  otherName: string,
): Verdict {
  const write = (ratio: number): string => (as === 'times' ? `${short(ratio)} ×` : `${short(ratio * 100)} %`)
  const target = `≥ ${write(least)} ${as === 'times' ? '' : 'of '}${otherName}`
  if (ours === undefined || other === undefined) return { target, measured: 'not measured', met: null }
  const ratio = median(ours.rounds) / median(other.rounds)
  return { target, measured: write(ratio), met: ratio >= least }
}

/** A target of the form "no more than". */
export function atMost(most: number, value: number | undefined, unit: string, what = ''): Verdict {
  const target = `${what === '' ? '' : `${what} `}≤ ${short(most)} ${unit}`
  if (value === undefined) return { target, measured: 'not measured', met: null }
  return { target, measured: `${short(value)} ${unit}`, met: value <= most }
}

/** A number with three digits that tell, or all before the point. */
export function short(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
