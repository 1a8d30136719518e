import { describe, expect, it } from 'vitest'
import { INTERACTIONS } from '../../src/model/engagement.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { ProviderGroup } from '../../src/providers/provider.ts'
import { interactionsRequest, readInteractions } from '../../src/providers/salesforce/interactions.ts'

const group = (count: number, part: Partial<ProviderGroup> = {}): ProviderGroup => ({
  objectName: INTERACTIONS,
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records: Array.from({ length: count }, (_, index) => `{"engagementInteraction":{"reason":"${index}"}}`),
  ...part,
})

const read = (status: number, body: unknown, count = 1): CallAnswer =>
  readInteractions(
    { kind: 'answer', status, headers: {}, body: typeof body === 'string' ? body : JSON.stringify(body) },
    group(count),
  )

const made = (id: string | null, code?: unknown, message = 'said') => ({
  engagementInteraction: id === null ? null : { id, engagementAttendees: [], engagementTopics: [] },
  ...(code === undefined ? {} : { status: { code, message } }),
})

/** What an answer comes to, in a word for each record. */
const told = (answer: CallAnswer): string[] =>
  answer.kind === 'answered'
    ? answer.records.map((one) =>
        one.ok ? `ok ${String(one.recordId)}` : `${one.errorClass} ${String(one.errors[0]?.code)}`,
      )
    : [answer.kind === 'refused' ? `refused ${answer.errorClass}` : answer.kind]

describe('the request', () => {
  it('of one is a post to the resource, its text as it is', () => {
    const records = ['{"engagementInteraction":{"a":1.50}}']
    expect(interactionsRequest(group(1, { records }), '67.0')).toEqual({
      method: 'POST',
      path: '/connect/service-excellence/engagement-interactions',
      body: records[0],
      cost: 1,
    })
  })

  it('of several is a batch with relative urls and rich inputs, each of which counts', () => {
    const { path, body, cost } = interactionsRequest(group(2), '67.0')
    expect([path, cost]).toEqual(['/composite/batch', 2])
    expect(JSON.parse(body!)).toEqual({
      haltOnError: false,
      batchRequests: ['0', '1'].map((reason) => ({
        method: 'POST',
        url: 'v67.0/connect/service-excellence/engagement-interactions',
        richInput: { engagementInteraction: { reason } },
      })),
    })
  })

  it.each([
    ['none', group(0)],
    ['26', group(26)],
    ['an update', group(1, { type: 'update' })],
    ['headers', group(1, { headers: [{ key: 'Sforce-Mru', value: 'updateMru=false' }] })],
    ['all or none', group(2, { allOrNone: true })],
  ])('refuses %s', (_, one) => {
    expect(() => interactionsRequest(one, '67.0')).toThrow(/interaction/i)
  })
})

describe('the answer to one', () => {
  it.each([
    [201, made('0hI1', 201), 'ok 0hI1'],
    [200, made('0hI1', 200), 'ok 0hI1'],
    [200, made('0hI1', 0), 'ok 0hI1'],
    [201, made('0hI1'), 'ok 0hI1'],
    [201, { ...made('0hI1'), status: {} }, 'ok 0hI1'],
    [201, made(null, 400), 'permanent 400'],
    [200, made(null, 'FAILED'), 'permanent FAILED'],
    // The org's own fault: it does not say that nothing was written.
    [200, made(null, 500), 'ambiguous 500'],
    [200, made(null, 503), 'ambiguous 503'],
    // Something was given an id; and an unknown word beside it may be one for success.
    [200, made('0hI1', 400), 'ambiguous 400'],
    [200, made('0hI1', 1), 'ambiguous 1'],
    [200, made('0hI1', 'DONE'), 'ambiguous DONE'],
    [201, made(null, 201), 'lost'],
    [201, made(null), 'lost'],
    [201, '', 'lost'],
    [200, '<html></html>', 'lost'],
    [200, [], 'lost'],
    [400, [{ errorCode: 'INVALID_ID_FIELD', message: 'x' }], 'refused permanent'],
    [404, [{ errorCode: 'NOT_FOUND', message: 'x' }], 'refused permanent'],
    [401, [{ errorCode: 'INVALID_SESSION_ID', message: 'x' }], 'refused auth'],
    [403, [{ errorCode: 'REQUEST_LIMIT_EXCEEDED', message: 'TotalRequests' }], 'refused throttled'],
    [409, [{ errorCode: 'A_CODE_THAT_NOBODY_LISTED', message: 'x' }], 'refused permanent'],
    [500, [{ errorCode: 'UNKNOWN_EXCEPTION', message: 'x' }], 'lost'],
    [302, '', 'refused auth'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(told(read(status, body))).toEqual([expected])
  })

  it('keeps the provider’s own word', () => {
    const body = made('0hI1', 201)
    expect(read(201, body)).toMatchObject({ records: [{ recordId: '0hI1', created: true, raw: body }] })
    expect(read(200, made(null, 422, 'no topic'))).toMatchObject({
      records: [
        { errors: [{ code: '422', message: 'no topic', fields: [] }], raw: { status: { code: 422 } } },
      ],
    })
  })
})

describe('the answer to a batch', () => {
  const result = (statusCode: unknown, value: unknown) => ({ statusCode, result: value })
  const batch = (...results: unknown[]) => ({ hasErrors: false, results })

  it('tells of each by its position, whatever else is wrong', () => {
    const body = batch(
      result(201, made('0hI1', 201)),
      result(400, [{ errorCode: 'REQUIRED_FIELD_MISSING', message: 'x' }]),
      result(412, [{ errorCode: 'BATCH_PROCESSING_HALTED', message: 'x' }]),
      result(200, made(null, 404)),
      result(500, [{ errorCode: 'UNKNOWN_EXCEPTION', message: 'x' }]),
      result(201, null),
      null,
      result('201', made('0hI2')),
      result(400, [{ errorCode: 'UNABLE_TO_LOCK_ROW', message: 'x' }]),
      result(503, null),
    )
    expect(told(read(200, body, 10))).toEqual([
      'ok 0hI1',
      'permanent REQUIRED_FIELD_MISSING',
      'again BATCH_PROCESSING_HALTED',
      'permanent 404',
      'ambiguous UNKNOWN_EXCEPTION',
      'ambiguous UNREADABLE_RECORD_ANSWER',
      'ambiguous UNREADABLE_RECORD_ANSWER',
      'ambiguous UNREADABLE_RECORD_ANSWER',
      'transient UNABLE_TO_LOCK_ROW',
      'ambiguous EMPTY_ANSWER',
    ])
  })

  it.each([
    ['a result too few', batch(result(201, made('0hI1'))), 'lost'],
    ['one too many', batch(...[1, 2, 3].map(() => result(201, made('0hI1')))), 'lost'],
    ['no results', { hasErrors: false }, 'lost'],
    ['no object', [], 'lost'],
  ])('with %s is believed of none', (_, body, expected) => {
    expect(told(read(200, body, 2))).toEqual([expected])
  })

  it('that was refused as a whole ran nothing', () => {
    const refusal = [{ errorCode: 'INVALID_BATCH_REQUEST', message: 'x' }]
    expect(told(read(400, refusal, 2))).toEqual(['refused permanent'])
    expect(read(400, [{ errorCode: 'JSON_PARSER_ERROR', message: 'x' }], 2)).toMatchObject({
      oneRecord: true,
    })
  })
})
