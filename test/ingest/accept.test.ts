import { describe, expect, it } from 'vitest'
import { acceptWrite } from '../../src/ingest/accept.ts'
import { examine } from '../../src/ingest/examine.ts'
import { parentKeysOf } from '../../src/ingest/rules/parent-keys.ts'
import type { WriteBody } from '../../src/ingest/write-body.ts'
import { isWritebackError } from '../../src/kernel/errors.ts'
import { defaultCallSettings, type ConfiguredObject } from '../../src/model/object-entry.ts'
import { operationIdOf } from '../../src/queue/insert-writes.ts'

const accept = (body: WriteBody, entry: ConfiguredObject = { objectName: 'Contact' }) => {
  const examined = examine(body)
  expect(examined.issues).toEqual([])
  return acceptWrite(body, examined, 'person', {
    id: 'installation',
    projectId: 'project',
    integrationId: 'integration',
    configId: 'config',
    objects: new Map([['person', entry]]),
    calls: defaultCallSettings,
  })
}

const issuePaths = (run: () => unknown): string[] => {
  try {
    run()
  } catch (error) {
    if (isWritebackError(error, 'INVALID_REQUEST')) return (error.issues ?? []).map((issue) => issue.path)
    throw error
  }
  return []
}

describe('a single write', () => {
  it('is its own operation, in the lane of its kind', () => {
    const submission = accept({ type: 'create', record: { LastName: 'x' } })
    expect(submission.operation).toBeNull()
    expect(submission.writes).toHaveLength(1)
    expect(operationIdOf(submission)).toBe(submission.writes[0]!.id)
    expect(submission.writes[0]).toMatchObject({
      operationId: null,
      operationIndex: null,
      ifEmpty: null,
      parents: null,
      delaySeconds: 0,
      deadlineSeconds: 3600,
      maxRecords: 100,
    })
    expect(submission.lane).toMatchObject({ objectName: 'Contact', operationId: null, merge: false })
  })

  it('asks for merge and onRollback by its policy', () => {
    const body: WriteBody = {
      type: 'update',
      mode: 'asynchronous',
      record: { id: '003RM000006Encr' },
      autoBatchPolicy: { maxDelaySeconds: 2, merge: true, allOrNone: true, onRollback: 'resend' },
    }
    expect(accept(body).lane).toMatchObject({ merge: true, allOrNone: true, onRollback: 'resend' })
  })

  it('names its parents by the fields of the provider', () => {
    const entry: ConfiguredObject = {
      objectName: 'Contact',
      fieldMappings: { company: 'AccountId' },
      parentFields: ['Site__c'],
    }
    const submission = accept(
      { type: 'create', record: { LastName: 'x', company: '001RM000003oLru', Site__c: 'a00RM000003oLru' } },
      entry,
    )
    const record = { AccountId: '001RM000003oLru', Site__c: 'a00RM000003oLru' }
    expect(submission.writes[0]!.parents).toEqual(parentKeysOf(record, 'create', entry, null))
    expect(submission.writes[0]!.parents).toHaveLength(2)
  })
})

describe('fields that are written only where there is no value yet', () => {
  const entry: ConfiguredObject = {
    objectName: 'Contact',
    fieldMappings: { phone: 'Phone' },
    selectedFieldSettings: {
      phone: { writeOnUpdate: 'ifEmpty' },
      Title: { default: { stringValue: 'Unknown' } },
    },
  }
  const sent = (body: WriteBody) => {
    const [write] = accept(body, entry).writes
    return { record: JSON.parse(write!.record) as unknown, ifEmpty: write!.ifEmpty }
  }

  it('stay in the record of an update and are listed', () => {
    const id = '003RM000006EncrYAC'
    expect(sent({ type: 'update', record: { id, LastName: 'x', phone: '1' } })).toEqual({
      record: { id, LastName: 'x', Phone: '1' },
      ifEmpty: ['Phone'],
    })
    expect(sent({ type: 'update', record: { id, LastName: 'x' } }).ifEmpty).toBeNull()
  })

  it('stay in that of an upsert, defaults among them', () => {
    expect(
      sent({ type: 'upsert', externalIdField: 'K__c', record: { K__c: 'k', phone: '1', LastName: 'x' } }),
    ).toEqual({
      record: { K__c: 'k', Phone: '1', LastName: 'x', Title: 'Unknown' },
      ifEmpty: ['Phone', 'Title'],
    })
  })

  it('are plain fields of a create', () => {
    expect(sent({ type: 'create', record: { LastName: 'x', phone: '1' } })).toEqual({
      record: { LastName: 'x', Phone: '1', Title: 'Unknown' },
      ifEmpty: null,
    })
  })
})

describe('a caller-built batch', () => {
  it('is an operation with a lane of its own, its writes numbered in order', () => {
    const body: WriteBody = {
      type: 'create',
      batch: [{ record: { LastName: 'a' } }, { record: { LastName: 'b' } }],
      batchPolicy: { allOrNone: true },
      reference: 'row 7',
    }
    const submission = accept(body)
    const id = operationIdOf(submission)
    expect(submission.operation).toMatchObject({
      id,
      objectName: 'person',
      type: 'create',
      allOrNone: true,
      reference: 'row 7',
    })
    expect(submission.lane).toMatchObject({
      objectName: 'Contact',
      operationId: id,
      allOrNone: true,
      onRollback: 'fail',
    })
    expect(submission.writes.map((write) => [write.operationId, write.operationIndex, write.record])).toEqual(
      [
        [id, 0, '{"LastName":"a"}'],
        [id, 1, '{"LastName":"b"}'],
      ],
    )
    expect(operationIdOf(accept(body))).not.toBe(id)
  })

  it('keys each create by its own write', () => {
    const { writes, lane } = accept(
      { type: 'create', batch: [{ record: { LastName: 'a' } }, { record: { LastName: 'b' } }] },
      { objectName: 'Contact', idempotencyField: 'Write_Id__c' },
    )
    expect(lane.externalIdField).toBe('Write_Id__c')
    for (const write of writes) expect(JSON.parse(write.record)).toMatchObject({ Write_Id__c: write.id })
  })

  it('is refused with what the configuration has against any of its records', () => {
    const entry: ConfiguredObject = {
      objectName: 'Contact',
      idempotencyField: 'Write_Id__c',
      fieldMappings: { surname: 'LastName' },
    }
    const batch = [
      { record: { LastName: 'fine' } },
      { record: { LastName: 'x', surname: 'y' } },
      { record: { write_id__c: 'mine' } },
    ]
    expect(issuePaths(() => accept({ type: 'create', batch }, entry))).toEqual([
      '/batch/1/record/surname',
      '/batch/2/record/write_id__c',
    ])
  })

  it('shares one budget of characters among the records that variables fill', () => {
    const variables = { long: 'x'.repeat(100_000) }
    const record = { A: '{{long}}' }
    const fits = examine({ type: 'create', variables, batch: Array.from({ length: 60 }, () => ({ record })) })
    expect(fits.issues).toEqual([])
    const over = examine({ type: 'create', variables, batch: Array.from({ length: 61 }, () => ({ record })) })
    expect(over.issues.map((issue) => issue.path)).toEqual(['/batch/60/record/A'])
  })
})
