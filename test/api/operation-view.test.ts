import { describe, expect, it } from 'vitest'
import { toLogs, toOperation } from '../../src/api/ampersand/operation-view.ts'
import type { WriteView } from '../../src/queue/read.ts'

const error = { code: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }
const write: WriteView = {
  id: 'w',
  projectId: 'p',
  integrationId: 'i',
  installationId: 'n',
  configId: 'c',
  objectName: 'Contact',
  type: 'create',
  state: 'queued',
  reference: null,
  attempts: 0,
  lastAttemptAt: null,
  nextAttemptAt: new Date(1000),
  batchId: null,
  recordId: null,
  created: null,
  errors: null,
  acceptedAt: new Date(0),
  updatedAt: new Date(0),
}

describe('a write as an operation', () => {
  it.each([
    ['queued', 'in_progress'],
    ['sending', 'in_progress'],
    ['succeeded', 'success'],
    ['failed', 'failure'],
    ['in_doubt', 'failure'],
    ['cancelled', 'failure'],
  ] as const)('in state %s has status %s', (state, status) => {
    const operation = toOperation({ ...write, state })
    expect(operation).toMatchObject({ status, metadata: { state } })
    expect(operation.metadata.records).toHaveLength(status === 'in_progress' ? 0 : 1)
  })

  it('tells what it waits for', () => {
    expect(toOperation(write).result).toBe('The write waits to be sent.')
    const again = toOperation({ ...write, errors: [error] })
    expect(again.result).toBe('The write waits to be sent again: UNABLE_TO_LOCK_ROW: locked')
    expect(again.metadata.retry).toEqual({
      attempts: 0,
      lastAttempt: null,
      nextAttempt: '1970-01-01T00:00:01.000Z',
    })
  })

  it('counts a record as written only where it was', () => {
    const recordId = '003000000000001AAA'
    expect(toOperation({ ...write, state: 'succeeded', recordId }).metadata.successfulRecordIds).toEqual([
      recordId,
    ])
    expect(toOperation({ ...write, state: 'failed', recordId, errors: [error] }).metadata).toMatchObject({
      successfulRecordIds: [],
      records: [{ success: false, errors: [error] }],
    })
  })

  it('logs a batch that is in flight, and an outcome only once there is one', () => {
    const open = { batchId: 'b', size: 3, claimedAt: new Date(5) }
    expect(toLogs({ ...write, state: 'sending' }, [], open).map((line) => line.message.msg)).toEqual([
      'accepted',
      'grouped',
    ])
    const ended = toLogs({ ...write, state: 'failed', errors: [error] }, [], null)
    expect(ended.map((line) => [line.severity, line.message.msg])).toEqual([
      ['info', 'accepted'],
      ['error', 'outcome'],
    ])
  })
})
