/** A fixed wait, or one drawn evenly from a range; milliseconds. */
export type Latency = number | { min: number; max: number }

/** What can be changed while the simulator runs. */
export interface Settings {
  /** Wait before each request is executed. Default 0. */
  latencyMs: Latency
  /** Calls in the rolling day; only counted up here, never forgotten (facts 6). Default 5,000,000. */
  dailyApiLimit: number
  /** Access-token life in seconds, sliding with use (facts 1.1). Default 7200. */
  sessionSeconds: number
  /** Refresh Token Rotation for all apps (facts 1.2). Default false. */
  rotateRefreshTokens: boolean
  /** Whether one value of the wrong JSON type refuses its whole request instead of its record (facts 7). Default false. */
  badValueSinksRequest: boolean
  /** Whether upserts by a non-unique external id are allowed, as with View All Data (facts 3.2). Default true. */
  viewAllData: boolean
}

/** The settings of a fresh simulator. */
export const defaultSettings: Settings = {
  latencyMs: 0,
  dailyApiLimit: 5_000_000,
  sessionSeconds: 7200,
  rotateRefreshTokens: false,
  badValueSinksRequest: false,
  viewAllData: true,
}

/**
 * Reads settings from JSON.
 * @throws {TypeError} naming the first setting that is unknown or of the wrong type
 */
export function readSettings(input: Record<string, unknown>): Partial<Settings> {
  for (const [name, value] of Object.entries(input)) {
    const expected = (defaultSettings as unknown as Record<string, unknown>)[name]
    const isRange =
      name === 'latencyMs' &&
      typeof (value as { min?: unknown } | null)?.min === 'number' &&
      typeof (value as { max?: unknown }).max === 'number'
    if (typeof value !== typeof expected && !isRange)
      throw new TypeError(`setting ${name}: unknown or of the wrong type`)
  }
  return input
}
