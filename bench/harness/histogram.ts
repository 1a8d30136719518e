import type { Percentiles } from './statistics.ts'

/** Each bucket reaches 2 % further than the one before: no percentile is off by more. */
const GROWTH = Math.log(1.02)
/** Buckets up to about 100 s, in microseconds. */
const BUCKETS = 932

/** A histogram as it travels between processes: how often each bucket was hit, and the highest value. */
export interface HistogramData {
  counts: number[]
  maxMs: number
}

/** Counts latencies in buckets of constant relative width, so that counting costs the same however many there are. */
export class Histogram {
  readonly #counts: number[]
  #maxMs: number

  constructor(data?: HistogramData) {
    this.#counts = data?.counts.slice() ?? new Array<number>(BUCKETS).fill(0)
    this.#maxMs = data?.maxMs ?? 0
  }

  add(ms: number): void {
    const bucket = Math.min(BUCKETS - 1, Math.floor(Math.log(Math.max(1, ms * 1000)) / GROWTH))
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  /** Milliseconds below which that share of the values lies; the middle of its bucket. 0 for no values. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(this.count * share))
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (seen >= rank) return Math.min(this.#maxMs, Math.exp((bucket + 0.5) * GROWTH) / 1000)
    }
    return 0
  }

  percentiles(): Percentiles {
    return {
      p50: this.quantile(0.5),
      p95: this.quantile(0.95),
      p99: this.quantile(0.99),
      max: this.#maxMs,
    }
  }

  data(): HistogramData {
    return { counts: this.#counts.slice(), maxMs: this.#maxMs }
  }
}
