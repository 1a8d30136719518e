import { expect, it } from 'vitest'
import { bodyType, readHeaders } from '../../src/actions/call-headers.ts'

it.each([
  'Accept',
  'Content-Type',
  'If-Match',
  'If-Modified-Since',
  'Sforce-Auto-Assign',
  'Sforce-Query-Options',
  'x-sfdc-packageversion-acme',
  'X-PrettyPrint',
  'X-Request-Id',
])('%s may go with a call', (name) => {
  const { headers, issues } = readHeaders({ [name]: 'value 1' }, '/headers')
  expect(issues).toEqual([])
  expect(headers).toEqual([{ key: name.toLowerCase(), value: 'value 1' }])
})

it.each([
  ...[
    'Authorization',
    'proxy-authorization',
    'Host',
    'COOKIE',
    'Set-Cookie',
    'Content-Length',
    'Content-Encoding',
  ],
  ...[
    'Transfer-Encoding',
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Upgrade',
    'Expect',
    'Via',
    'Forwarded',
  ],
  ...['X-Forwarded-For', 'x-forwarded-host', 'X-Real-IP', 'X-Original-URL', 'X-Rewrite-URL', 'X-HTTP-Method'],
  ...[
    'X-HTTP-Method-Override',
    'X-Method-Override',
    'X-SFDC-Session',
    'Accept-Encoding',
    'Origin',
    'Referer',
    'Range',
  ],
])('%s may not', (name) => {
  expect(readHeaders({ [name]: 'x' }, '/headers')).toEqual({
    headers: [],
    issues: [{ path: `/headers/${name}`, message: 'is not a header that a custom call may carry' }],
  })
})

it('names every header that cannot be sent', () => {
  const { headers, issues } = readHeaders(
    {
      'Bad Name': 'x',
      Accept: 'a\r\nHost: b',
      accept: 'é',
      Prefer: 3,
      'X-Long': 'x'.repeat(5_000),
      'X-Twice': 'a',
      'x-twice': 'b',
    },
    '/headers',
  )
  expect(issues.map(({ path }) => path)).toEqual([
    '/headers/Bad Name',
    '/headers/Accept',
    '/headers/accept',
    '/headers/Prefer',
    '/headers/X-Long',
    '/headers/x-twice',
  ])
  expect(headers).toEqual([{ key: 'x-twice', value: 'a' }])
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`X-${index}`, 'x']))
  expect(readHeaders(many, '/headers').issues).toEqual([
    { path: '/headers', message: 'must have at most 50 headers' },
  ])
})

it.each([
  ['application/json', true],
  ['application/json; charset=UTF-8', true],
  ['application/json; charset="utf8"', true],
  ['application/json; charset=utf-7', false],
  ['application/json;charset=utf-8; CharSet = UTF-16', false],
])('a body of the type %s may go out: %s', (type, may) => {
  const { issues } = readHeaders({ 'Content-Type': type }, '/headers')
  const message = 'must have no other charset than utf-8'
  expect(issues).toEqual(may ? [] : [{ path: '/headers/Content-Type', message }])
})

it('tells the type of a body', () => {
  expect(bodyType([])).toBeNull()
  expect(bodyType([{ key: 'content-type', value: 'Text/CSV; charset=utf-8' }])).toBe('text/csv')
})
