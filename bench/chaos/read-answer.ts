import type { Answer } from '../../src/cli/demo/client.ts'
import type { BatchAnswer, WriteFailed, WriteSucceeded } from '../../src/contract/write-answers.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { entriesOf, type Answered, type Entry } from './ledger.ts'
import type { PlannedCall } from './plan-load.ts'

type Told = Omit<Entry, 'call' | 'item' | 'position'>

/** What an answer means to the caller of a write (contract section 5). */
export function readAnswer(call: PlannedCall, answer: Answer): Entry[] {
  const unrecorded = answer.headers['writeback-recorded'] === 'false'
  const told: Told = {
    verdict: 'acknowledged',
    operationId: null,
    answered: null,
    // Without a record of it the service keeps no order for it either.
    unordered: unrecorded,
    unrecorded,
    remark: null,
  }
  const { status, body } = answer
  if (call.mode === 'asynchronous' && status === 200) {
    const { operationId } = body as { operationId: string }
    return entriesOf(call, { ...told, operationId })
  }
  if (call.mode === 'synchronous' && (status === 200 || status === 422))
    return readOutcome(call, body as SynchronousAnswer, told)
  return readProblem(call, status, body ?? {}, told)
}

type SynchronousAnswer = WriteSucceeded | WriteFailed | BatchAnswer

function readOutcome(call: PlannedCall, body: SynchronousAnswer, told: Told): Entry[] {
  const results = 'results' in body ? body.results : [body.result]
  return entriesOf(call, { ...told, operationId: body.operationId }).map((entry, place) => ({
    ...entry,
    answered: results[place]?.success === true ? 'succeeded' : 'failed',
  }))
}

/** Problems that say that nothing was written. */
const nothingWritten: Partial<Record<string, Answered>> = {
  RECORD_BUSY: 'failed',
  PROVIDER_UNREACHABLE: 'failed',
}

/** A problem with an operation is followed by it; without one, an error of the server's leaves the write unknown. */
function readProblem(call: PlannedCall, status: number, problem: Partial<Problem>, told: Told): Entry[] {
  const { code = '', operationId, issues = [] } = problem
  const named = issues.map(({ path, message }) => ` ${path} ${message}`).join(',')
  const known = { ...told, remark: `${status} ${code}${named}` }
  const answered = nothingWritten[code] ?? null
  // An operation that was not recorded cannot be followed: without an outcome nothing is promised.
  if (operationId !== undefined && (!told.unrecorded || answered !== null))
    return entriesOf(call, { ...known, operationId, answered })
  return entriesOf(call, { ...known, verdict: status >= 500 ? 'unknown' : 'refused' })
}
