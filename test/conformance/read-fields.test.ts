import { describe, expect, it } from 'vitest'
import type { FieldRead, FieldsRead } from '../../src/providers/provider.ts'
import { limits, simulatedOrg } from './simulated-org.ts'

const at = simulatedOrg()

const read = (part: Partial<FieldRead>, options = limits): Promise<{ answer: FieldsRead; calls: number }> =>
  at.provider.readFields(
    at.session,
    { objectName: 'Contact', keyField: null, keys: [], fields: ['Title', 'Phone'], ...part },
    options,
  )

/** By position the fields that have a value, as sorted lists. */
async function filled(part: Partial<FieldRead>): Promise<(string[] | null)[]> {
  const { answer } = await read(part)
  if (answer.kind !== 'read') throw new Error(JSON.stringify(answer))
  return answer.filled.map((fields) => (fields === null ? null : [...fields].sort()))
}

const byKey = { keyField: 'External_Id__c' }

describe('by id', () => {
  it('tells the fields that have a value, and null of a record that is not there, in one call', async () => {
    const a = at.org.create('Contact', { LastName: 'A', Title: 'T', Score__c: 0, DoNotCall: false })
    const b = at.org.create('Contact', { LastName: 'B', Phone: '1', Title: '' })
    const fields = ['title', 'Phone', 'Score__c']
    const keys = [b, '003000000000000AAA', a.slice(0, 15), 'no id', a]
    const { answer, calls } = await read({ keys, fields })
    expect(calls).toBe(1)
    expect(answer).toEqual({
      kind: 'read',
      filled: [
        new Set(['Phone']),
        null,
        new Set(['title', 'Score__c']),
        null,
        new Set(['title', 'Score__c']),
      ],
    })
    expect(at.requests()).toMatchObject([{ method: 'POST', operation: 'collections.retrieve', apiCalls: 1 }])
  })

  it('asks nothing when there is nothing to ask', async () => {
    expect(await read({ keys: ['x'] })).toEqual({ answer: { kind: 'read', filled: [null] }, calls: 0 })
    expect(await read({ keys: [] })).toEqual({ answer: { kind: 'read', filled: [] }, calls: 0 })
  })
})

describe('by external id', () => {
  it('finds each record by its key, in any case and trimmed, in one call', async () => {
    at.org.create('Contact', { LastName: 'A', External_Id__c: 'Key-1', Title: 'T' })
    at.org.create('Contact', { LastName: 'B', External_Id__c: 'key-2', Phone: '1' })
    expect(await filled({ ...byKey, keys: ['key-2', 'none', ' KEY-1 '] })).toEqual([
      ['Phone'],
      null,
      ['Title'],
    ])
    expect(at.requests()).toMatchObject([
      { method: 'GET', operation: 'query', apiCalls: 1, objects: ['Contact'] },
    ])
  })

  it.each([
    "O'Brien",
    'back\\slash',
    '\\',
    "\\'",
    'a"b',
    'Itō 漢字',
    '%_*',
    "') OR Name != ('",
    'a&b=c+d#e/f?',
    'tab\there',
  ])('finds a key such as %j, and no other', async (key) => {
    at.org.create('Contact', { LastName: 'A', External_Id__c: key, Title: 'T' })
    at.org.create('Contact', { LastName: 'B', External_Id__c: 'other', Phone: '1' })
    expect(await filled({ ...byKey, keys: [key] })).toEqual([['Title']])
  })

  it('sends line breaks and other control characters escaped', async () => {
    expect(await filled({ ...byKey, keys: ['a\nb\r\u0001c\u007f'] })).toEqual([null])
  })

  it('tells keys apart by case where the org has both', async () => {
    at.org.create('Contact', { LastName: 'A', Case_Key__c: 'abc', Title: 'T' })
    at.org.create('Contact', { LastName: 'B', Case_Key__c: 'ABC', Phone: '1' })
    expect(await filled({ keyField: 'Case_Key__c', keys: ['ABC', 'abc'] })).toEqual([['Phone'], ['Title']])
  })

  it('counts a field as filled when any record of the key has it', async () => {
    at.org.create('Contact', { LastName: 'A', Region_Key__c: 'r', Title: 'T' })
    at.org.create('Contact', { LastName: 'B', Region_Key__c: 'r', Phone: '1' })
    expect(await filled({ keyField: 'Region_Key__c', keys: ['r'] })).toEqual([['Phone', 'Title']])
  })

  it('names numbers as numbers once the org has said so', async () => {
    at.org.create('Numbered__c', { Number__c: 12, Colour__c: 'red' })
    const numbers = { objectName: 'Numbered__c', keyField: 'Number__c', fields: ['Colour__c'] }
    for (const calls of [2, 1]) {
      const { answer, calls: made } = await read({ ...numbers, keys: ['12.0', '13', '12'] })
      expect([answer, made]).toEqual([
        { kind: 'read', filled: [new Set(['Colour__c']), null, new Set(['Colour__c'])] },
        calls,
      ])
    }
  })

  it('finds the others where one key is no number and the field holds numbers', async () => {
    at.org.create('Numbered__c', { Number__c: 14, Colour__c: 'blue' })
    const numbers = { objectName: 'Numbered__c', keyField: 'Number__c', fields: ['Colour__c'] }
    const expected = { answer: { kind: 'read', filled: [new Set(['Colour__c']), null] } }
    expect(await read({ ...numbers, keys: ['14', 'fourteen'] })).toMatchObject(expected)
    expect(await read({ ...numbers, keys: ['fourteen'] })).toMatchObject({ calls: 0 })
  })

  it('keeps a key of digits a text where the field holds texts', async () => {
    at.org.create('Contact', { LastName: 'A', External_Id__c: '12', Title: 'T' })
    const { answer, calls } = await read({ ...byKey, keys: ['12'] })
    expect([answer, calls]).toEqual([{ kind: 'read', filled: [new Set(['Title'])] }, 1])
  })

  it('takes one call for 100 ids of the usual length, and several for longer keys', async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `${'k'.repeat(30)}-${i}`)
    expect((await read({ ...byKey, keys })).calls).toBe(1)
    const long = Array.from({ length: 100 }, (_, i) => `ō${'x'.repeat(200)}${i}`)
    at.org.create('Contact', { LastName: 'A', External_Id__c: long[99]!, Title: 'T' })
    const { answer, calls } = await read({ ...byKey, keys: long })
    expect(calls).toBe(3)
    expect(answer).toMatchObject({ kind: 'read' })
    expect(answer.kind === 'read' && answer.filled[99]).toEqual(new Set(['Title']))
  })

  it('follows the pages of an answer', async () => {
    at.org.settings.queryPageSize = 2
    const keys = ['a', 'b', 'c', 'd', 'e']
    for (const key of keys) at.org.create('Contact', { LastName: 'x', External_Id__c: key, Title: key })
    const { answer, calls } = await read({ ...byKey, keys })
    expect(calls).toBe(3)
    expect(answer).toEqual({ kind: 'read', filled: keys.map(() => new Set(['Title'])) })
  })

  it('does not follow a page that is elsewhere', async () => {
    const body = { done: false, records: [], nextRecordsUrl: 'https://elsewhere.example/services/data/x' }
    at.org.faults.add({ action: { type: 'status', status: 200, body } })
    expect(await read({ ...byKey, keys: ['a'] })).toMatchObject({ calls: 1, answer: { kind: 'not_sent' } })
  })
})

describe('what cannot be read', () => {
  it.each([['a b'], ['x) OR (y'], ['']])('a name such as "%s" is refused here', async (odd) => {
    for (const part of [{ objectName: odd }, { keyField: odd }, { fields: ['Title', odd] }]) {
      expect(await read({ ...byKey, keys: ['k'], ...part })).toMatchObject({
        calls: 0,
        answer: { kind: 'refused', errorClass: 'permanent' },
      })
    }
  })

  it.each([
    [{ fields: ['Nothing__c'] }, 'INVALID_FIELD'],
    [{ objectName: 'Nothing__c' }, 'INVALID_TYPE'],
  ])('%j: the provider’s own refusal', async (part, code) => {
    expect(await read({ ...byKey, keys: ['k'], ...part })).toMatchObject({
      calls: 1,
      answer: { kind: 'refused', errorClass: 'permanent', errors: [{ code }], raw: [{ errorCode: code }] },
    })
  })

  it.each([
    [
      { type: 'status', canned: 'invalidSession' },
      { kind: 'refused', errorClass: 'auth' },
    ],
    [
      { type: 'status', canned: 'totalRequests' },
      { kind: 'refused', throttle: 'daily' },
    ],
    [
      { type: 'status', canned: 'serverUnavailable' },
      { kind: 'refused', errorClass: 'transient' },
    ],
    [{ type: 'status', canned: 'unknownException' }, { kind: 'not_sent' }],
    [{ type: 'status', canned: 'badGatewayHtml' }, { kind: 'not_sent' }],
    [{ type: 'dropAfter' }, { kind: 'not_sent' }],
    [{ type: 'cutAnswer' }, { kind: 'not_sent' }],
    [{ type: 'html200' }, { kind: 'not_sent' }],
    [{ type: 'wrongShape' }, { kind: 'not_sent', error: { code: 'UNREADABLE_ANSWER' } }],
    [{ type: 'hang' }, { kind: 'not_sent', error: { code: 'TIMEOUT' } }],
  ] as const)('%j, by id and by key', async (action, expected) => {
    const id = at.org.create('Contact', { LastName: 'A' })
    for (const part of [{ keys: [id] }, { ...byKey, keys: ['k'] }]) {
      at.org.faults.add({ action })
      const timeoutMs = action.type === 'hang' ? 200 : limits.timeoutMs
      expect(await read(part, { timeoutMs })).toMatchObject({ calls: 1, answer: expected })
    }
  })
})
