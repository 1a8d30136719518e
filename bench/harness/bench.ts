import type { Stops } from '../../src/cli/demo/parts.ts'
import type { BenchDatabase } from '../parts/database.ts'
import type { Load } from '../parts/load.ts'
import type { Answer } from './answer.ts'
import type { BenchOptions, Named } from './options.ts'

/** What a question works with. */
export interface Bench {
  options: BenchOptions
  /** The PostgreSQL of the run: every contender gets a database of its own on it. */
  server: BenchDatabase
  /** The process that makes the load. */
  load: Load
  /** What the question started; ended, in the opposite order, when it is over. */
  stops: Stops
  /** Where processes write their logs. */
  folder: string
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
  say: (line: string) => void
}

/** One question: what it measures, and how. */
export interface Question extends Named {
  run: (bench: Bench) => Promise<Answer>
}

/** The size of something: small in a quick run. */
export const sized = <T>(bench: Bench, full: T, quick: T): T => (bench.options.quick ? quick : full)
