import { describe, expect, it } from 'vitest'
import { toLogs } from '../../src/api/ampersand/operation-logs.ts'
import { toOperation } from '../../src/api/ampersand/operation-view.ts'
import type { AttemptView, OperationView, RecordView } from '../../src/queue/read.ts'

const error = { code: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }
const record: RecordView = {
  id: 'w',
  state: 'queued',
  attempts: 0,
  lastAttemptAt: null,
  nextAttemptAt: new Date(1000),
  batchId: null,
  recordId: null,
  created: null,
  errors: null,
  merged: false,
  updatedAt: new Date(0),
}
const operation = (isBatch: boolean, ...records: Partial<RecordView>[]): OperationView => ({
  id: 'o',
  projectId: 'p',
  integrationId: 'i',
  installationId: 'n',
  configId: 'c',
  objectName: 'Contact',
  type: 'create',
  allOrNone: false,
  reference: null,
  acceptedAt: new Date(0),
  isBatch,
  records: records.map((part, index) => ({ ...record, id: `w${index}`, ...part })),
})
const write = (part: Partial<RecordView> = {}): OperationView => operation(false, part)
const batch = (...states: RecordView['state'][]): OperationView =>
  operation(true, ...states.map((state) => ({ state })))

describe('a write as an operation', () => {
  it.each([
    ['queued', 'in_progress'],
    ['sending', 'in_progress'],
    ['succeeded', 'success'],
    ['failed', 'failure'],
    ['in_doubt', 'failure'],
    ['cancelled', 'failure'],
  ] as const)('in state %s has status %s', (state, status) => {
    const shown = toOperation(write({ state }))
    expect(shown).toMatchObject({ status, metadata: { state } })
    expect(shown.metadata.records).toHaveLength(status === 'in_progress' ? 0 : 1)
  })

  it('tells what it waits for', () => {
    expect(toOperation(write()).result).toBe('The write waits to be sent.')
    const again = toOperation(write({ errors: [error] }))
    expect(again.result).toBe('The write waits to be sent again: UNABLE_TO_LOCK_ROW: locked')
    expect(again.metadata.retry).toEqual({
      attempts: 0,
      lastAttempt: null,
      nextAttempt: '1970-01-01T00:00:01.000Z',
    })
  })

  it('counts a record as written only where it was', () => {
    const recordId = '003000000000001AAA'
    expect(toOperation(write({ state: 'succeeded', recordId })).metadata.successfulRecordIds).toEqual([
      recordId,
    ])
    expect(toOperation(write({ state: 'failed', recordId, errors: [error] })).metadata).toMatchObject({
      successfulRecordIds: [],
      records: [{ success: false, errors: [error] }],
    })
  })

  it('logs a batch that is in flight, and an outcome only once there is one', () => {
    const open = { batchId: 'b', size: 3, claimedAt: new Date(5) }
    expect(toLogs(write({ state: 'sending' }), [], [open]).map((line) => line.message.msg)).toEqual([
      'accepted',
      'grouped',
    ])
    const ended = toLogs(write({ state: 'failed', errors: [error] }), [], [])
    expect(ended.map((line) => [line.severity, line.message.msg])).toEqual([
      ['info', 'accepted'],
      ['error', 'outcome'],
    ])
  })
})

describe('a caller-built batch as an operation', () => {
  it.each([
    [['queued', 'queued'], 'queued', 'in_progress'],
    [['queued', 'sending'], 'sending', 'in_progress'],
    [['succeeded', 'queued'], 'sending', 'in_progress'],
    [['succeeded', 'succeeded'], 'succeeded', 'success'],
    [['failed', 'succeeded'], 'partial', 'success'],
    [['in_doubt', 'succeeded'], 'partial', 'success'],
    [['failed', 'failed'], 'failed', 'failure'],
    [['failed', 'in_doubt'], 'in_doubt', 'failure'],
    [['cancelled', 'cancelled'], 'cancelled', 'failure'],
    [['failed', 'cancelled'], 'failed', 'failure'],
  ] as const)('with records %j is in state %s, with status %s', (states, state, status) => {
    const shown = toOperation(batch(...states))
    expect(shown).toMatchObject({ status, metadata: { state } })
    expect(shown.metadata.records).toHaveLength(status === 'in_progress' ? 0 : 2)
  })

  it('shows each record in its place, and sums up the rest', () => {
    const shown = toOperation(
      operation(
        true,
        { state: 'succeeded', recordId: 'a', created: true, attempts: 1, batchId: 'b2', merged: true },
        { state: 'failed', errors: [error], attempts: 3, batchId: 'b1', updatedAt: new Date(9) },
        { state: 'succeeded', recordId: 'c', lastAttemptAt: new Date(7), nextAttemptAt: null },
      ),
    )
    expect(shown).toMatchObject({
      result: '2 of 3 records were written: UNABLE_TO_LOCK_ROW: locked',
      updateTime: new Date(9).toISOString(),
      metadata: {
        retry: { attempts: 3, lastAttempt: new Date(7).toISOString() },
        successfulRecordIds: ['a', 'c'],
        batchId: 'b2',
      },
    })
    expect(shown.metadata.records).toEqual([
      { index: 0, success: true, recordId: 'a', created: true, merged: true, errors: [] },
      { index: 1, success: false, errors: [error] },
      { index: 2, success: true, recordId: 'c', errors: [] },
    ])
  })

  it('is logged call by call, with those that were not written', () => {
    const attempt: AttemptView = {
      writeId: 'w0',
      number: 1,
      batchId: 'b1',
      callId: 'call',
      batchSize: 2,
      position: 0,
      decision: 'succeeded',
      status: 200,
      errors: null,
      nextAt: null,
      startedAt: new Date(1),
      endedAt: new Date(2),
      answer: 'answered',
    }
    const logs = toLogs(
      batch('succeeded', 'failed'),
      [
        attempt,
        { ...attempt, writeId: 'w1', position: 1, decision: 'retry', errors: [error], nextAt: new Date(5) },
        { ...attempt, writeId: 'w1', number: 2, batchId: 'b2', decision: 'failed', errors: [error] },
      ],
      [],
    )
    expect(logs.map(({ severity, message }) => [severity, message.msg])).toEqual([
      ['info', 'accepted'],
      ['info', 'grouped'],
      ['warning', 'attempt'],
      ['info', 'grouped'],
      ['warning', 'attempt'],
      ['warning', 'outcome'],
    ])
    expect(logs[0]!.message).toMatchObject({ size: 2, allOrNone: false })
    expect(logs[2]!.message).toMatchObject({
      batchId: 'b1',
      decisions: { succeeded: 1, retry: 1 },
      failures: [{ index: 1, decision: 'retry', errors: [error], nextAttempt: new Date(5).toISOString() }],
    })
    expect(logs[4]!.message).toMatchObject({ number: 2, decisions: { failed: 1 } })
    expect(logs[5]!.message).toMatchObject({ state: 'partial', successCount: 1, failureCount: 1 })
  })
})
