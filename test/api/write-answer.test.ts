import { describe, expect, it } from 'vitest'
import { statusOf } from '../../src/api/error-handler.ts'
import { answeredBy, toAnswer } from '../../src/api/ampersand/write-answer.ts'
import { WritebackError, type ErrorCode } from '../../src/kernel/errors.ts'
import type { Submission } from '../../src/ingest/accept.ts'
import type { NowOutcome, NowRecord } from '../../src/model/now-outcome.ts'
import { incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'

const single = incoming(laneKey())
const batch = incomingBatch(laneKey(), [{}, {}])
const operationId = single.writes[0].id
const ok: NowRecord = { ok: true, recordId: 'r', created: true, data: { id: 'r', success: true, errors: [] } }
const error = { code: 'BAD', message: 'bad', fields: ['F'], hidden: 1 }
const shown = { code: 'BAD', message: 'bad', fields: ['F'] }
const failed: NowRecord = { ok: false, errors: [error] }
const ended = (...records: NowRecord[]): NowOutcome => ({ kind: 'ended', records })

const toWriteAnswer = (submission: Submission, outcome: NowOutcome) =>
  toAnswer(answeredBy(submission), outcome)

describe('the answer of a synchronous write', () => {
  it('has the keys of the contract and no others', () => {
    const written = { success: true, recordId: 'r', data: { id: 'r', success: true, errors: [] } }
    expect(toWriteAnswer(single, ended(ok))).toEqual({ status: 200, body: { operationId, result: written } })
    expect(toWriteAnswer(single, ended(failed))).toEqual({
      status: 422,
      body: { operationId, errors: [shown], result: { success: false } },
    })
    expect(toWriteAnswer(single, ended({ ...failed, raw: { x: 1 } })).body).toEqual({
      operationId,
      errors: [shown],
      result: { success: false },
      rawResponse: { x: 1 },
    })
    const lost = { success: false, data: { errors: [shown] } }
    expect(toWriteAnswer(batch, ended(failed, ok))).toEqual({
      status: 200,
      body: {
        operationId: batch.operation.id,
        results: [lost, written],
        successCount: 1,
        failureCount: 1,
        errors: [shown],
      },
    })
    expect(toWriteAnswer(batch, ended(ok, ok)).body).not.toHaveProperty('errors')
    expect(toWriteAnswer(batch, ended(failed, failed)).status).toBe(422)
  })

  it('names the record of an update where the provider has nothing to say', () => {
    const id = '003RM000006EncrYAC'
    const update = incoming(laneKey({ type: 'update' }), { record: `{"id":"${id}","Name":"x"}` })
    const silent: NowRecord = { ok: true, recordId: null, created: null, data: null }
    expect(toWriteAnswer(update, ended(silent)).body).toMatchObject({
      result: { success: true, recordId: id, data: {} },
    })
  })

  it.each<[NowOutcome, ErrorCode, number]>([
    [{ kind: 'unknown', because: 'timeout', reason: 'no answer' }, 'OUTCOME_UNKNOWN', 504],
    [{ kind: 'unknown', because: 'cut_off', reason: 'reset' }, 'OUTCOME_UNKNOWN', 502],
    [{ kind: 'still_trying', reason: 'locked' }, 'STILL_TRYING', 504],
    [{ kind: 'record_busy' }, 'RECORD_BUSY', 504],
    [{ kind: 'unreachable', reason: 'refused' }, 'PROVIDER_UNREACHABLE', 502],
  ])('is a problem with the operation when there is no outcome: %j', (outcome, code, status) => {
    const thrown = (() => {
      try {
        return toWriteAnswer(batch, outcome)
      } catch (problem) {
        return problem as WritebackError
      }
    })()
    expect(thrown).toBeInstanceOf(WritebackError)
    const problem = thrown as WritebackError
    expect(problem).toMatchObject({ code, operationId: batch.operation.id })
    expect(problem.status ?? statusOf(code)).toBe(status)
    expect(problem.remedy).toMatch(/\.$/)
    if ('reason' in outcome) expect(problem.message).toContain(outcome.reason)
  })
})
