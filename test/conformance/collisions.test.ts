import { beforeEach, describe, expect, it } from 'vitest'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { ProviderGroup } from '../../src/providers/provider.ts'
import { group, limits, recordsOf, simulatedOrg } from './simulated-org.ts'

const at = simulatedOrg()

beforeEach(() => {
  at.org.defineDuplicateRule({ object: 'Contact', name: 'Same_Email', fields: ['Email'], action: 'alert' })
})

const update = (
  part: Partial<ProviderGroup>,
  position = 0,
  options = limits,
): Promise<{ answer: CallAnswer; calls: number }> =>
  at.provider.updateCollision(at.session, group(part), position, options)

const Email = 'ada@example.com'
const create = { records: [JSON.stringify({ LastName: 'New', Email, Title: 'T' })] }
const upsert: Partial<ProviderGroup> = {
  type: 'upsert',
  externalIdField: 'External_Id__c',
  records: [JSON.stringify({ External_Id__c: 'k / 1', LastName: 'New', Email })],
}
const existing = (LastName = 'Old', more: object = {}): string =>
  at.org.create('Contact', { LastName, Email, ...more })
const paths = (): string[] => at.requests().map(({ method, path }) => `${method} ${path.slice(20)}`)

describe('a record that collides with exactly one other', () => {
  it.each(['duplicateResult', 'duplicateResut'] as const)(
    'is written into that one, with the answer spelled %s',
    async (duplicateResultKey) => {
      at.org.settings.duplicateResultKey = duplicateResultKey
      const id = existing('Old', { FirstName: 'Kept' })
      const { answer, calls } = await update({ records: ['{}', create.records[0]!] }, 1)
      expect(calls).toBe(2)
      expect(answer).toMatchObject({
        kind: 'answered',
        records: [{ ok: true, recordId: id, created: false }],
        usage: { used: 2 },
      })
      expect(at.org.count('Contact')).toBe(1)
      expect(at.org.record(id)).toMatchObject({ LastName: 'New', FirstName: 'Kept', Title: 'T' })
      expect(paths()).toEqual(['POST /sobjects/Contact', `PATCH /sobjects/Contact/${id}`])
    },
  )

  it('of an upsert too, which then finds it by its key', async () => {
    const id = existing()
    const { answer } = await update(upsert)
    expect(recordsOf(answer)).toMatchObject([{ ok: true, recordId: id, created: false }])
    expect(at.org.record(id)).toMatchObject({ LastName: 'New', External_Id__c: 'k / 1' })
    const again = await at.provider.sendGroups(at.session, [group(upsert)], limits)
    expect(recordsOf(again.answers[0])).toMatchObject([{ ok: true, recordId: id, created: false }])
  })

  it('goes with the headers of its group, both times', async () => {
    existing()
    await update({ ...create, headers: [{ key: 'Sforce-Auto-Assign', value: 'FALSE' }] })
    expect(at.requests().map(({ headers }) => headers)).toEqual([
      { 'sforce-auto-assign': 'FALSE' },
      { 'sforce-auto-assign': 'FALSE' },
    ])
  })

  it('fails with what that record’s own update says', async () => {
    const id = existing()
    const { answer, calls } = await update({
      records: [JSON.stringify({ LastName: 'x'.repeat(81), Email })],
    })
    // A value that is wrong is found before any duplicate.
    expect([calls, recordsOf(answer)[0]]).toMatchObject([1, { errors: [{ code: 'STRING_TOO_LONG' }] }])
    at.org.faults.add({
      match: { operation: 'single.update' },
      action: { type: 'recordError', statusCode: 'ENTITY_IS_LOCKED', message: 'in approval' },
    })
    expect(recordsOf((await update(create)).answer)).toMatchObject([
      { ok: false, errorClass: 'permanent', errors: [{ code: 'ENTITY_IS_LOCKED', message: 'in approval' }] },
    ])
    expect(at.org.record(id)).toMatchObject({ LastName: 'Old' })
  })
})

describe('a collision that is not one record of the object', () => {
  const refusal = {
    ok: false,
    errorClass: 'permanent',
    errors: [{ code: 'DUPLICATES_DETECTED', message: 'Use one of these records?', fields: [] }],
  }

  it('stays a failure when there are several', async () => {
    existing('One')
    // The rule sees the second one only from now on, so let it in before.
    at.org.defineDuplicateRule({ object: 'Contact', name: 'Same_Email', fields: ['Title'], action: 'alert' })
    existing('Two')
    at.org.defineDuplicateRule({ object: 'Contact', name: 'Same_Email', fields: ['Email'], action: 'alert' })
    const { answer, calls } = await update(create)
    expect([calls, recordsOf(answer)]).toMatchObject([1, [refusal]])
    expect(at.org.find('Contact', 'LastName', 'New')).toEqual([])
  })

  it.each([
    ['names no record', []],
    ['names a record of another object', [matched('00Q000000000001', 'Lead')]],
    [
      'names one record twice and another',
      [matched('003000000000001'), matched('003000000000001AAA'), matched('003000000000002')],
    ],
  ])('stays a failure when it %s', async (_, matchRecords) => {
    at.org.faults.add({ action: { type: 'status', status: 400, body: [detected(matchRecords)] } })
    const { answer, calls } = await update(create)
    expect([calls, recordsOf(answer)]).toMatchObject([1, [{ ...refusal, raw: [detected(matchRecords)] }]])
  })

  it('is one when its id comes in both lengths', async () => {
    const id = existing()
    const matchRecords = [matched(id), matched(id.slice(0, 15))]
    at.org.faults.add({ action: { type: 'status', status: 400, body: [detected(matchRecords)] } })
    expect(recordsOf((await update(create)).answer)).toMatchObject([{ ok: true, recordId: id }])
  })

  it('stays a failure when something else is wrong as well', async () => {
    const other = { errorCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: 'no', fields: [] }
    const body = [detected([matched(existing())]), other]
    at.org.faults.add({ action: { type: 'status', status: 400, body } })
    const { answer, calls } = await update(create)
    expect([calls, recordsOf(answer)[0]?.ok]).toEqual([1, false])
  })
})

function matched(Id: string, type = 'Contact'): object {
  return { record: { attributes: { type, url: '/x' }, Id }, matchConfidence: 100 }
}

function detected(matchRecords: object[]): object {
  const matchResults = [{ entityType: 'Contact', matchRecords, success: true, size: matchRecords.length }]
  return {
    errorCode: 'DUPLICATES_DETECTED',
    message: 'Use one of these records?',
    duplicateResult: { allowSave: true, matchResults },
  }
}

describe('a record that collides with none after all', () => {
  it('is created', async () => {
    const { answer, calls } = await update(create)
    expect([calls, recordsOf(answer)]).toMatchObject([
      1,
      [{ ok: true, created: true, raw: { success: true } }],
    ])
  })

  it('is upserted by a key that needs encoding, which is not repeated in the body', async () => {
    expect(recordsOf((await update(upsert)).answer)).toMatchObject([{ ok: true, created: true }])
    const { answer } = await update({
      ...upsert,
      records: ['{"external_id__C":"k / 1","LastName":"Later","Score__c":1.50}'],
    })
    expect(recordsOf(answer)).toMatchObject([{ ok: true, created: false }])
    expect(at.org.records('Contact')).toMatchObject([{ LastName: 'Later', External_Id__c: 'k / 1' }])
  })

  it('several records with the key: permanent, and nothing written', async () => {
    for (const LastName of ['A', 'B']) at.org.create('Contact', { LastName, Region_Key__c: 'r' })
    const { answer } = await update({
      type: 'upsert',
      externalIdField: 'Region_Key__c',
      records: ['{"Region_Key__c":"r","LastName":"C"}'],
    })
    expect(recordsOf(answer)).toMatchObject([
      { ok: false, errorClass: 'permanent', errors: [{ code: 'MULTIPLE_CHOICES' }] },
    ])
  })
})

describe('every other ending', () => {
  const single = { operation: 'single' }

  it('of the first call', async () => {
    at.org.faults.add({ match: single, action: { type: 'dropAfter' } })
    expect(await update(create)).toMatchObject({ calls: 1, answer: { kind: 'lost' } })
    expect(at.org.count('Contact')).toBe(1)
    at.org.faults.add({ match: single, action: { type: 'status', canned: 'invalidSession' } })
    expect(await update(create)).toMatchObject({ calls: 1, answer: { kind: 'refused', errorClass: 'auth' } })
    at.org.faults.add({ match: single, action: { type: 'status', canned: 'totalRequests' } })
    expect(await update(create)).toMatchObject({ answer: { kind: 'refused', throttle: 'daily' } })
    at.org.faults.add({ match: single, action: { type: 'status', canned: 'unknownException' } })
    expect(await update(create)).toMatchObject({ answer: { kind: 'lost', status: 500 } })
    at.org.faults.add({ match: single, action: { type: 'html200' } })
    expect(await update(create)).toMatchObject({ answer: { kind: 'lost', status: 200 } })
    at.org.faults.add({ match: single, action: { type: 'recordError', canned: 'lockedRow' } })
    expect(recordsOf((await update({ records: ['{"LastName":"x"}'] })).answer)).toMatchObject([
      { ok: false, errorClass: 'transient', cause: 'lock' },
    ])
  })

  it('of the second', async () => {
    existing()
    const second = { operation: 'single.update' }
    at.org.faults.add({ match: second, action: { type: 'dropAfter' } })
    expect(await update(create)).toMatchObject({ calls: 2, answer: { kind: 'lost' } })
    at.org.faults.add({ match: second, action: { type: 'status', canned: 'invalidSession' } })
    expect(await update(create)).toMatchObject({ calls: 2, answer: { kind: 'refused', errorClass: 'auth' } })
    at.org.faults.add({ match: second, action: { type: 'hang' } })
    expect(await update(create, 0, { timeoutMs: 300 })).toMatchObject({
      calls: 2,
      answer: { kind: 'lost', error: { code: 'TIMEOUT' } },
    })
    expect(at.org.count('Contact')).toBe(1)
  })

  it('of what cannot be sent singly', async () => {
    for (const part of [
      { type: 'update' as const, records: ['{"id":"003"}'] },
      { ...upsert, records: ['{}'] },
    ]) {
      expect(await update(part)).toMatchObject({
        calls: 0,
        answer: { kind: 'refused', status: 0, errorClass: 'permanent', errors: [{ code: 'INVALID_GROUP' }] },
      })
    }
    expect(at.requests()).toEqual([])
  })
})
