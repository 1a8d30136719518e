import { describe, expect, it } from 'vitest'
import { readAnswer } from '../../bench/chaos/read-answer.ts'
import type { PlannedCall } from '../../bench/chaos/plan-load.ts'

const item = (marker: string): PlannedCall['items'][number] => ({
  marker,
  values: {},
  subject: null,
  parent: null,
})

const call = (part: Partial<PlannedCall> = {}): PlannedCall => ({
  ...{
    at: 0,
    groupRef: 'g',
    object: 'Contact',
    type: 'create',
    mode: 'synchronous',
    api: 0,
    isBatch: false,
    policy: null,
  },
  items: [item('one')],
  ...part,
})

const read = (made: PlannedCall, status: number, body: unknown, headers = {}) =>
  readAnswer(made, { status, headers, body })

describe('an answer to a write', () => {
  it('acknowledges an asynchronous write with its operation', () => {
    expect(read(call({ mode: 'asynchronous' }), 200, { operationId: 'op' })).toMatchObject([
      { verdict: 'acknowledged', operationId: 'op', answered: null },
    ])
  })

  it('tells the outcome of a synchronous one', () => {
    const body = { operationId: 'op', result: { success: true } }
    expect(read(call(), 200, body)).toMatchObject([{ verdict: 'acknowledged', answered: 'succeeded' }])
    const failed = { operationId: 'op', result: { success: false }, errors: [] }
    expect(read(call(), 422, failed)).toMatchObject([{ verdict: 'acknowledged', answered: 'failed' }])
  })

  it('tells that of each record of a batch', () => {
    const batch = call({ isBatch: true, items: [item('one'), item('two')] })
    const body = { operationId: 'op', results: [{ success: false }, { success: true }] }
    expect(read(batch, 200, body)).toMatchObject([
      { item: { marker: 'one' }, position: 0, answered: 'failed', operationId: 'op' },
      { item: { marker: 'two' }, position: 1, answered: 'succeeded', operationId: 'op' },
    ])
  })

  it('says when it was not recorded', () => {
    const body = { operationId: 'op', result: { success: true } }
    expect(read(call(), 200, body, { 'writeback-recorded': 'false' })).toMatchObject([
      { unrecorded: true, unordered: true, answered: 'succeeded' },
    ])
  })

  it('promises nothing when it was not recorded and has no outcome', () => {
    const problem = { code: 'PROVIDER_TIMEOUT', operationId: 'op' }
    const header = { 'writeback-recorded': 'false' }
    expect(read(call(), 504, problem, header)).toMatchObject([{ verdict: 'unknown', unordered: true }])
    const unreached = { code: 'PROVIDER_UNREACHABLE', operationId: 'op' }
    expect(read(call(), 502, unreached, header)).toMatchObject([
      { verdict: 'acknowledged', answered: 'failed' },
    ])
  })

  const problems: [status: number, problem: object, expected: object][] = [
    [
      504,
      { code: 'STILL_TRYING', operationId: 'op' },
      { verdict: 'acknowledged', operationId: 'op', answered: null },
    ],
    [502, { code: 'OUTCOME_UNKNOWN', operationId: 'op' }, { verdict: 'acknowledged', answered: null }],
    [504, { code: 'RECORD_BUSY', operationId: 'op' }, { verdict: 'acknowledged', answered: 'failed' }],
    [
      502,
      { code: 'PROVIDER_UNREACHABLE', operationId: 'op' },
      { verdict: 'acknowledged', answered: 'failed' },
    ],
    [503, { code: 'DATABASE_UNAVAILABLE' }, { verdict: 'unknown', remark: '503 DATABASE_UNAVAILABLE' }],
    [500, { code: 'INTERNAL' }, { verdict: 'unknown' }],
    [429, { code: 'TOO_MUCH_QUEUED' }, { verdict: 'refused' }],
  ]
  it.each(problems)('%i %o', (status, problem, expected) => {
    expect(read(call(), status, problem)).toMatchObject([expected])
  })
})
