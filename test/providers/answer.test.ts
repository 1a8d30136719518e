import { describe, expect, it } from 'vitest'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { ProviderGroup } from '../../src/providers/provider.ts'
import { readAnswer } from '../../src/providers/salesforce/answer.ts'

type GroupType = ProviderGroup['type']

function read(
  status: number,
  body: unknown,
  { type = 'create', count = 2, headers = {} }: { type?: GroupType; count?: number; headers?: object } = {},
): CallAnswer {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const group = { type, records: Array.from({ length: count }, () => '{}') }
  const all = { 'content-type': 'application/json', 'sforce-limit-info': 'api-usage=3/100', ...headers }
  return readAnswer({ kind: 'answer', status, headers: all, body: text }, group)
}

const done = (id: string, extra: object = {}) => ({ id, success: true, errors: [], ...extra })
const failed = (statusCode: string, message = 'why', fields?: string[]) => ({
  success: false,
  errors: [{ statusCode, message, ...(fields ? { fields } : {}) }],
})

describe('an answer per record', () => {
  it('gives the ids in order, with the usage of the org', () => {
    expect(read(200, [done('003A'), done('003B')])).toEqual({
      kind: 'answered',
      status: 200,
      usage: { used: 3, limit: 100 },
      records: [
        { ok: true, recordId: '003A', created: true, raw: done('003A') },
        { ok: true, recordId: '003B', created: true, raw: done('003B') },
      ],
    })
  })

  it('says created only where the provider did', () => {
    const answer = read(200, [done('A', { created: true }), done('B', { created: false }), done('C')], {
      type: 'upsert',
      count: 3,
    })
    expect(answer).toMatchObject({ records: [{ created: true }, { created: false }, { created: null }] })
    expect(read(200, [done('A')], { type: 'update', count: 1 })).toMatchObject({
      records: [{ created: null }],
    })
  })

  it.each([200, 201, 400, 500])('is read as such under HTTP %i', (status) => {
    const body = [done('003A'), failed('STRING_TOO_LONG', 'too long', ['LastName'])]
    expect(read(status, body)).toMatchObject({
      kind: 'answered',
      status,
      records: [
        { ok: true, recordId: '003A' },
        {
          ok: false,
          errors: [{ code: 'STRING_TOO_LONG', message: 'too long', fields: ['LastName'] }],
          errorClass: 'permanent',
        },
      ],
    })
  })

  it('holds a single failed record under HTTP 400', () => {
    expect(read(400, [failed('MISSING_ARGUMENT')], { type: 'update', count: 1 })).toMatchObject({
      kind: 'answered',
      records: [{ ok: false, errors: [{ code: 'MISSING_ARGUMENT', fields: [] }] }],
    })
  })

  it('keeps the culprit of a rollback apart from the innocent', () => {
    const body = [failed('REQUIRED_FIELD_MISSING'), failed('ALL_OR_NONE_OPERATION_ROLLED_BACK')]
    expect(read(400, body)).toMatchObject({ records: [{ errorClass: 'permanent' }, { errorClass: 'again' }] })
  })

  it('goes by the flag, not by the number of errors', () => {
    const event = {
      id: 'e01',
      success: true,
      errors: [{ statusCode: 'OPERATION_ENQUEUED', message: 'uuid' }],
    }
    expect(read(200, [event], { count: 1 })).toMatchObject({ records: [{ ok: true, recordId: 'e01' }] })
    expect(read(200, [{ id: 'x', success: false, errors: [] }], { count: 1 })).toMatchObject({
      records: [{ ok: false, errors: [{ code: 'UNKNOWN_ERROR' }], errorClass: 'permanent' }],
    })
  })

  it('bounds the retries of what may be tried once more', () => {
    expect(
      read(200, [failed('DUPLICATE_VALUE'), failed('UNABLE_TO_LOCK_ROW')], { type: 'upsert' }),
    ).toMatchObject({
      records: [
        { errorClass: 'transient', maxRetries: 1 },
        { errorClass: 'transient', errors: [{ code: 'UNABLE_TO_LOCK_ROW' }] },
      ],
    })
  })

  it('leaves every record in doubt when one was forgotten, as any of them may be the one', () => {
    const inDoubt = { ok: false, errorClass: 'ambiguous', errors: [{ code: 'NO_ANSWER_FOR_RECORD' }] }
    expect(read(200, [done('003A'), failed('STRING_TOO_LONG')], { count: 3 })).toMatchObject({
      kind: 'answered',
      records: [inDoubt, inDoubt, inDoubt],
    })
  })

  it('leaves a record with an unreadable entry in doubt', () => {
    expect(read(200, [done('003A'), null])).toMatchObject({
      records: [
        { ok: true },
        { ok: false, errorClass: 'ambiguous', errors: [{ code: 'UNREADABLE_RECORD_ANSWER' }] },
      ],
    })
  })

  it('takes a request-level element among items as that record’s error', () => {
    expect(read(200, [done('003A'), { errorCode: 'INVALID_TYPE', message: 'no such type' }])).toMatchObject({
      records: [{ ok: true }, { ok: false, errorClass: 'permanent', errors: [{ code: 'INVALID_TYPE' }] }],
    })
  })

  it('is lost when it has more items than there were records', () => {
    expect(read(200, [done('A'), done('B'), done('C')])).toMatchObject({
      kind: 'lost',
      status: 200,
      error: { code: 'ANSWER_MISMATCH' },
    })
  })
})

describe('a request refused as a whole', () => {
  it.each([
    [400, 'JSON_PARSER_ERROR', 'permanent'],
    [400, 'EXCEEDED_ID_LIMIT', 'permanent'],
    [401, 'INVALID_SESSION_ID', 'auth'],
    [403, 'REQUEST_LIMIT_EXCEEDED', 'throttled'],
    [403, 'API_DISABLED_FOR_ORG', 'auth'],
    [503, 'SERVER_UNAVAILABLE', 'transient'],
    [404, 'NEVER_HEARD_OF', 'permanent'],
  ])('is refused with its class: %i %s', (status, errorCode, errorClass) => {
    expect(read(status, [{ errorCode, message: 'why', fields: ['F'] }])).toEqual({
      kind: 'refused',
      status,
      errors: [{ code: errorCode, message: 'why', fields: ['F'] }],
      errorClass,
      usage: { used: 3, limit: 100 },
      raw: [{ errorCode, message: 'why', fields: ['F'] }],
      // a value that cannot be read is one record's, and the whole request's fate
      ...(errorCode === 'JSON_PARSER_ERROR' ? { oneRecord: true } : {}),
    })
  })

  it('keeps the provider’s own word, and none where the body is not the provider’s', () => {
    expect(read(200, [done('003A'), failed('STRING_TOO_LONG')])).toMatchObject({
      records: [{ raw: done('003A') }, { raw: failed('STRING_TOO_LONG') }],
    })
    const page = read(404, '<html></html>', { headers: { 'content-type': 'text/html' } })
    expect(page).toMatchObject({ kind: 'refused' })
    expect(page).not.toHaveProperty('raw')
  })

  it('names what lies behind a failure that can pass', () => {
    expect(read(200, [failed('UNABLE_TO_LOCK_ROW'), failed('QUERY_TIMEOUT')])).toMatchObject({
      records: [{ cause: 'lock' }, { cause: 'apex_limit' }],
    })
    expect(read(400, [{ errorCode: 'UNABLE_TO_LOCK_ROW', message: 'why' }])).toMatchObject({
      kind: 'refused',
      cause: 'lock',
    })
  })

  it('names the limit that was hit', () => {
    const body = [{ errorCode: 'REQUEST_LIMIT_EXCEEDED', message: 'TotalRequests Limit exceeded.' }]
    expect(read(403, body)).toMatchObject({ errorClass: 'throttled', throttle: 'daily' })
  })

  it('bounds the retries where the facts do', () => {
    const body = [{ errorCode: 'API_CURRENTLY_DISABLED', message: 'why' }]
    expect(read(403, body)).toMatchObject({ errorClass: 'transient', maxRetries: 3 })
  })

  it('is lost when it may have been written for all that the answer says', () => {
    for (const errorCode of ['UNKNOWN_EXCEPTION', 'NEVER_HEARD_OF']) {
      expect(read(500, [{ errorCode, message: 'ErrorId: 1' }])).toEqual({
        kind: 'lost',
        status: 500,
        error: { code: errorCode, message: 'ErrorId: 1', fields: [] },
      })
    }
  })

  it('is refused when several records match, and says how many', () => {
    const urls = ['/services/data/v67.0/sobjects/Contact/003A', '/services/data/v67.0/sobjects/Contact/003B']
    expect(read(300, urls, { type: 'upsert', count: 1 })).toMatchObject({
      kind: 'refused',
      status: 300,
      errorClass: 'permanent',
      errors: [
        { code: 'MULTIPLE_CHOICES', message: '2 records have this external id; nothing was written.' },
      ],
    })
  })
})

describe('an answer without anything of Salesforce in it', () => {
  const html = { headers: { 'content-type': 'text/html; charset=UTF-8' } }

  it.each([301, 302, 303, 307, 308])(
    'a redirect (%i) is an error of the connection, never a success',
    (status) => {
      const headers = { location: 'https://moved.my.salesforce.com/x' }
      // Not even with a body that looks like success.
      expect(read(status, [done('A'), done('B')], { headers })).toMatchObject({
        kind: 'refused',
        status,
        errorClass: 'auth',
        errors: [
          {
            code: 'UNEXPECTED_REDIRECT',
            message: expect.stringContaining('moved.my.salesforce.com') as string,
          },
        ],
      })
    },
  )

  it.each([
    ['an HTML page under 200', 200, '<html>Log in</html>', 'UNEXPECTED_HTML'],
    ['an HTML page under 503', 503, '<html>Sorry</html>', 'UNEXPECTED_HTML'],
    ['an empty body under 200', 200, '', 'EMPTY_ANSWER'],
    ['an empty body under 204', 204, '', 'EMPTY_ANSWER'],
    ['an empty body under 500', 500, '', 'EMPTY_ANSWER'],
    ['an empty body under 502', 502, '', 'EMPTY_ANSWER'],
  ])('%s is lost', (_, status, body, code) => {
    expect(read(status, body, html)).toMatchObject({ kind: 'lost', status, error: { code } })
  })

  it.each([
    ['JSON that is no array', 200, { ok: true }],
    ['an empty array', 200, []],
    ['a truncated array', 200, '[{"id":"003A","success":true,'],
    ['a text', 200, 'fine'],
    ['JSON without a code under 500', 500, [{ message: 'hm' }]],
  ])('%s is lost', (_, status, body) => {
    expect(read(status, body)).toMatchObject({ kind: 'lost', status, error: { code: 'UNREADABLE_ANSWER' } })
  })

  it.each([
    [400, 'permanent'],
    [401, 'auth'],
    [403, 'permanent'],
    [404, 'permanent'],
    [420, 'transient'],
    [429, 'throttled'],
  ])('a page under %i was turned away: %s', (status, errorClass) => {
    expect(read(status, '<html></html>', html)).toMatchObject({
      kind: 'refused',
      status,
      errorClass,
      errors: [{ code: 'UNEXPECTED_HTML' }],
    })
  })
})
