import { describe, expect, it } from 'vitest'
import type { ProviderGroup } from '../../src/providers/provider.ts'
import { collectionsRequest } from '../../src/providers/salesforce/collections.ts'
import {
  compositeBody,
  isPackable,
  readComposite,
  type CompositeAnswer,
  type PackedGroup,
} from '../../src/providers/salesforce/composite.ts'

import { packsOf } from '../../src/providers/salesforce/send-groups.ts'

const packed = (part: Partial<ProviderGroup> = {}): PackedGroup => {
  const group: ProviderGroup = {
    objectName: 'Contact',
    type: 'create',
    externalIdField: null,
    allOrNone: false,
    headers: [],
    records: ['{"LastName":"A"}'],
    ...part,
  }
  return { group, request: collectionsRequest(group) }
}

describe('the body', () => {
  it('holds each group as a subrequest with its own flag, headers and url', () => {
    const body = compositeBody(
      [
        packed({ allOrNone: true, headers: [{ key: 'Sforce-Auto-Assign', value: 'FALSE' }] }),
        packed({ type: 'upsert', externalIdField: 'Key__c', records: ['{"Key__c":1}'] }),
        packed({ type: 'delete', records: ['{"id":"003000000000001AAA"}'] }),
      ],
      '67.0',
    )
    const url = '/services/data/v67.0/composite/sobjects'
    const attributes = { type: 'Contact' }
    expect(JSON.parse(body)).toEqual({
      allOrNone: false,
      collateSubrequests: false,
      compositeRequest: [
        {
          method: 'POST',
          url,
          referenceId: 'g0',
          httpHeaders: { 'Sforce-Auto-Assign': 'FALSE' },
          body: { allOrNone: true, records: [{ attributes, LastName: 'A' }] },
        },
        {
          method: 'PATCH',
          url: `${url}/Contact/Key__c`,
          referenceId: 'g1',
          body: { allOrNone: false, records: [{ attributes, Key__c: 1 }] },
        },
        { method: 'DELETE', url: `${url}?ids=003000000000001AAA&allOrNone=false`, referenceId: 'g2' },
      ],
    })
  })

  it('has the record texts as they were', () => {
    expect(compositeBody([packed({ records: ['{"A":1.10,"B":12345678901234567890}'] })], '67.0')).toContain(
      '"A":1.10,"B":12345678901234567890}',
    )
  })

  it.each(['@{a.id}', '\\u0040{a.id}', '@\\u007Ba.id}', '\\u0040\\u007ba.id}'])(
    'is not for records with %s',
    (text) => {
      expect(isPackable(packed({ records: [`{"LastName":"${text}"}`] }))).toBe(false)
      expect(isPackable(packed({ records: ['{"LastName":"me@x.org {a}"}'] }))).toBe(true)
    },
  )
})

describe('the groups of one call', () => {
  const sized = (bytes: number): PackedGroup =>
    packed({ records: [`{"LastName":"${'é'.repeat(bytes / 2)}"}`] })
  const sizes = (groups: PackedGroup[], maxBytes?: number): number[] =>
    packsOf(groups, maxBytes).map((pack) => pack.length)

  it('are five at most', () => {
    expect(sizes(Array.from({ length: 12 }, () => packed()))).toEqual([5, 5, 2])
  })

  it('stay below the limit of bytes, and one that is over it goes alone', () => {
    expect(sizes([sized(20_000), sized(20_000), sized(20_000), sized(60_000), sized(10)], 50_000)).toEqual([
      2, 1, 1, 1,
    ])
    expect(sizes([sized(24_000_000), sized(24_000_000)])).toEqual([1, 1])
  })

  it('keep their order when one of them has to go alone', () => {
    const odd = packed({ records: ['{"LastName":"@{g0.id}"}'] })
    const groups = [packed(), packed(), odd, packed()]
    expect(sizes(groups)).toEqual([2, 1, 1])
    expect(packsOf(groups).flat()).toEqual(groups)
  })
})

describe('the answer', () => {
  const item = (id: string): object => ({ id, success: true, errors: [] })
  const part = (referenceId: string, body: unknown, httpStatusCode: unknown = 200): object => ({
    body,
    httpHeaders: {},
    httpStatusCode,
    referenceId,
  })
  const read = (compositeResponse: unknown, status = 200): CompositeAnswer =>
    readComposite(
      {
        kind: 'answer',
        status,
        headers: { 'content-type': 'application/json', 'sforce-limit-info': 'api-usage=3/100' },
        body: JSON.stringify({ compositeResponse }),
      },
      [packed(), packed()],
    )
  const usage = { used: 3, limit: 100 }

  it('is matched by name, not by position', () => {
    expect(read([part('g1', [item('B')]), part('g0', [item('A')])])).toMatchObject({
      kind: 'per_group',
      answers: [
        { kind: 'answered', records: [{ recordId: 'A' }], usage },
        { kind: 'answered', records: [{ recordId: 'B' }], usage },
      ],
    })
  })

  it.each<[string, object[], object]>([
    ['is missing', [], { kind: 'lost', error: { code: 'ANSWER_MISMATCH' } }],
    ['is there twice', [part('g0', [item('A')]), part('g0', [item('B')])], { kind: 'lost' }],
    ['has another name', [part('G0', [item('A')])], { kind: 'lost', error: { code: 'ANSWER_MISMATCH' } }],
    ['has no status', [part('g0', [item('A')], null)], { kind: 'lost' }],
    ['is null under 200', [part('g0', null)], { kind: 'lost', error: { code: 'EMPTY_ANSWER' } }],
    ['is a page', [part('g0', '<html>', 500)], { kind: 'lost', error: { code: 'UNEXPECTED_HTML' } }],
    ['has too many items', [part('g0', [item('A'), item('B')])], { kind: 'lost' }],
    [
      'is a fault of the platform',
      [part('g0', [{ errorCode: 'UNKNOWN_EXCEPTION', message: 'x' }], 500)],
      { kind: 'lost', status: 500 },
    ],
    [
      'was halted',
      [part('g0', [{ errorCode: 'PROCESSING_HALTED', message: 'x' }], 400)],
      { kind: 'refused', errorClass: 'again', status: 400, usage },
    ],
    [
      'is a parser error',
      [part('g0', [{ errorCode: 'JSON_PARSER_ERROR', message: 'x' }], 400)],
      { kind: 'refused', errorClass: 'permanent', oneRecord: true },
    ],
    [
      'has its items under 400',
      [part('g0', [{ success: false, errors: [{ statusCode: 'STRING_TOO_LONG', message: 'x' }] }], 400)],
      { kind: 'answered', status: 400, records: [{ ok: false, errorClass: 'permanent' }] },
    ],
  ])('one that %s is that group’s alone', (_, parts, expected) => {
    expect(read([part('g1', [item('B')]), ...parts])).toMatchObject({
      answers: [expected, { kind: 'answered', records: [{ recordId: 'B' }] }],
    })
  })

  const whole = (status: number, body: unknown): CompositeAnswer =>
    readComposite(
      { kind: 'answer', status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
      [packed(), packed()],
    )
  const error = (errorCode: string): object[] => [{ errorCode, message: 'why' }]

  it.each([
    [403, 'INSUFFICIENT_ACCESS', true, true],
    [404, 'NOT_FOUND', true, true],
    [405, 'METHOD_NOT_ALLOWED', true, true],
    [400, 'FUNCTIONALITY_NOT_ENABLED', true, true],
    [400, 'JSON_PARSER_ERROR', true, false],
    [413, 'SOMETHING', true, false],
    [403, 'REQUEST_LIMIT_EXCEEDED', false, false],
    [403, 'API_DISABLED_FOR_ORG', false, false],
    [401, 'INVALID_SESSION_ID', false, false],
    [503, 'SERVER_UNAVAILABLE', false, false],
  ])('%i %s: sent singly %s, not asked again soon %s', (status, code, sendSingly, unavailable) => {
    expect(whole(status, error(code))).toMatchObject({
      kind: 'whole',
      answer: { kind: 'refused', status },
      sendSingly,
      unavailable,
    })
  })

  it.each([
    [500, error('APEX_ERROR')],
    [500, error('UNKNOWN_EXCEPTION')],
    [504, ''],
    [200, {}],
    [200, { compositeResponse: 'x' }],
    [408, ''],
  ])('%i %j: lost, since parts may have been written', (status, body) => {
    expect(whole(status, body)).toMatchObject({ kind: 'whole', answer: { kind: 'lost' }, sendSingly: false })
  })
})
