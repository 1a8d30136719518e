import type { Question } from '../harness/bench.ts'
import { accept } from './accept.ts'
import { backlog } from './backlog.ts'
import { bulk } from './bulk.ts'
import { calls } from './calls.ts'
import { drain } from './drain.ts'
import { growth } from './growth.ts'
import { isolation } from './isolation.ts'
import { lateness } from './lateness.ts'
import { memory } from './memory.ts'
import { mixed } from './mixed.ts'
import { reads } from './reads.ts'
import { slowProvider } from './slow-provider.ts'

/** Every question, in the order in which they are asked. */
export const questions: readonly Question[] = [
  accept,
  bulk,
  drain,
  calls,
  backlog,
  lateness,
  memory,
  reads,
  slowProvider,
  mixed,
  isolation,
  growth,
]
