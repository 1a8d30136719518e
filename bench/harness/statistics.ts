/**
 * The value below which a share of the values lies, by linear interpolation between the nearest two.
 * @param share 0 to 1
 * @throws {RangeError} for no values
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)]
  const above = sorted[Math.ceil(place)]
  if (below === undefined || above === undefined) throw new RangeError('a quantile of no values')
  return below + (above - below) * (place - Math.floor(place))
}

/** The middle value, or the mean of the middle two. @throws {RangeError} for no values */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** How far apart the values lie, as a share of their median; 0 for a single one. */
export function spread(values: readonly number[]): number {
  const middle = median(values)
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

/** What is shown of many latencies, in milliseconds. */
export interface Percentiles {
  p50: number
  p95: number
  p99: number
  max: number
}

/** The percentiles of plain values. @throws {RangeError} for no values */
export const percentilesOf = (values: readonly number[]): Percentiles => ({
  p50: quantile(values, 0.5),
  p95: quantile(values, 0.95),
  p99: quantile(values, 0.99),
  max: Math.max(...values),
})

/** The median of each percentile over rounds. @throws {RangeError} for no rounds */
export const medianPercentiles = (rounds: readonly Percentiles[]): Percentiles => ({
  p50: median(rounds.map((round) => round.p50)),
  p95: median(rounds.map((round) => round.p95)),
  p99: median(rounds.map((round) => round.p99)),
  max: Math.max(...rounds.map((round) => round.max)),
})
