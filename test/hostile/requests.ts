import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { arbitraryOf, type Known } from './from-schema.ts'
import { dangerousNames, mutate, mutation, oddText, print, toNode } from './json-text.ts'
import type { Route } from './openapi-document.ts'

/** A request as it is sent. */
export interface Request {
  /** Null where the path or the method is none of the document's. */
  route: Route | null
  method: string
  path: string
  headers: Record<string, string>
  body: Buffer | null
}

/** What requests are made of besides the document. */
export interface Pools {
  /** API keys, good and bad. */
  keys: string[]
  /** Values for path parameters by name: what is there. */
  places: Record<string, string[]>
  /** The same for calls that take away or rename what they name, by method and path: the others need it. */
  spares: Record<string, Record<string, string[]>>
  /** Values for body members by name, and for the formats of the service's own. */
  bodies: Known
}

/** Percent-encodes what is text; what is no text at all becomes bytes that are no UTF-8. */
const encode = (text: string): string =>
  encodeURIComponent(text.toWellFormed()).replaceAll(
    '%EF%BF%BD',
    text.isWellFormed() ? '%EF%BF%BD' : '%ED%A0%80',
  )

const rawParts = [
  '..',
  '.',
  '%2e%2e',
  '%2E%2E%2F%2E%2E',
  'a%2Fb',
  'a%2fb%00',
  '%00',
  '%',
  '%zz',
  '%c0%af',
  '%ff',
  ';x',
  'a:retry',
  ':cancel',
  '*',
  '',
]

const partFor = (name: string, route: Route, { places, spares }: Pools): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .constantFrom(...(spares[`${route.method} ${route.path}`]?.[name] ?? places[name] ?? ['x']))
        .map(encode),
    },
    { weight: 1, arbitrary: fc.uuid() },
    { weight: 1, arbitrary: oddText.map(encode) },
    { weight: 1, arbitrary: fc.constantFrom(...rawParts) },
  )

function pathFor(route: Route, pools: Pools): fc.Arbitrary<string> {
  const parts = route.path.split(/\{(\w+)\}/)
  return fc
    .tuple(...parts.map((part, index) => (index % 2 === 0 ? fc.constant(part) : partFor(part, route, pools))))
    .map((all) => all.join(''))
}

const pair = ([name, value]: [string, string]): string => `${encode(name)}=${encode(value)}`

function queryFor({ operation }: Route): fc.Arbitrary<string> {
  const good: Record<string, fc.Arbitrary<string>> = {
    // a longer wait would be kept
    wait: fc.constantFrom('0', '0.01', '0.05'),
    pageSize: fc.constantFrom('1', '2', '1000'),
    pageToken: fc.constantFrom('', 'x', 'WzFd', 'eyJhIjoxfQ=='),
    movedAfter: fc.constantFrom(
      '2026-01-31T12:00:00.000Z',
      '0000-01-01T00:00:00+14:00',
      '9999-12-31T23:59-14:00',
    ),
  }
  const names = (operation.parameters ?? []).filter((one) => one.in === 'query').map(({ name }) => name)
  const known = names.map((name) => fc.tuple(fc.constant(name), good[name] ?? oddText))
  const bad = fc.tuple(
    fc.constantFrom(...dangerousNames, ...names),
    fc.oneof(fc.constantFrom('-1', '0x10', '1e9', '61', 'NaN', 'true', '1,2'), oddText),
  )
  const one =
    known.length === 0
      ? bad
      : fc.oneof({ weight: 4, arbitrary: fc.oneof(...known) }, { weight: 1, arbitrary: bad })
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    {
      weight: 2,
      arbitrary: fc.array(one, { minLength: 1, maxLength: 3 }).map((all) => `?${all.map(pair).join('&')}`),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('?', '?&&==', '?%', '?a=%zz', '?a[]=1&a[b]=2', `?${'a=1&'.repeat(500)}`),
    },
  )
}

/** Characters that a header's value can carry; a line break cannot be sent as one. */
const headerText = oddText.map((text) =>
  text
    .replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '?')
    .slice(0, 2_000)
    .trim(),
)

function headersFor({ keys }: Pools): fc.Arbitrary<Record<string, string>> {
  const [admin = '', ...others] = keys
  const key = fc.oneof(
    { weight: 12, arbitrary: fc.constant(admin) },
    { weight: 5, arbitrary: fc.constantFrom(...others) },
    { weight: 1, arbitrary: headerText },
  )
  return fc
    .record(
      {
        'x-api-key': key,
        'x-request-id': headerText,
        'request-timeout': fc.constantFrom('60', '600', '60.5', '0', '-1', 'x', '1e3'),
        'idempotency-key': fc.oneof(fc.stringMatching(/^[a-f]{2}$/), headerText),
        authorization: fc.oneof(headerText, fc.constantFrom('Bearer', 'Bearer  x y', 'Basic Og==')),
        'x-forwarded-for': headerText,
      },
      { requiredKeys: ['x-api-key'] },
    )
    .chain((headers) =>
      fc.subarray(Object.keys(headers).filter((name) => name !== 'x-api-key')).map((left) => {
        const dropped = new Set(left.slice(0, -1))
        return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name)))
      }),
    )
}

interface Body {
  bytes: Buffer
  type: string
  encoding?: string
}

const JSON_TYPE = 'application/json'
const asJson = (text: string): Body => ({ bytes: Buffer.from(text), type: JSON_TYPE })

/** What can be wrong with a body before anybody knows what it says. */
const spoil: fc.Arbitrary<(text: string) => Body> = fc.oneof(
  fc
    .double({ min: 0, max: 1, noNaN: true })
    .map((part) => (text: string) => asJson(text.slice(0, Math.floor(text.length * part)))),
  fc
    .constantFrom('\ufeff', ' ', '// x\n', 'while(1);', ")]}'\n", '[', '{}')
    .map((head) => (text: string) => asJson(head + text)),
  fc.constantFrom('}', ',', '\u0000', '{}', ' x').map((tail) => (text: string) => asJson(text + tail)),
  fc
    .constantFrom(
      '',
      'null',
      '[]',
      '"x"',
      '1',
      'NaN',
      '{"a":undefined}',
      "{'a':1}",
      '{"a":1,}',
      '{"a":01}',
      '[[[',
    )
    .map((text) => () => asJson(text)),
  fc.nat(100).map((at) => (text: string) => {
    const bytes = Buffer.from(text)
    bytes[at % bytes.length] = 0xff
    return { bytes, type: JSON_TYPE }
  }),
  fc.constantFrom<BufferEncoding[]>('latin1', 'utf16le').map((encoding) => (text: string) => ({
    bytes: Buffer.from(text, encoding),
    type: `${JSON_TYPE}; charset=${encoding === 'latin1' ? 'iso-8859-1' : 'utf-16le'}`,
  })),
  fc.constantFrom('gzip', 'deflate', 'br', 'identity', 'gzip, gzip').map((encoding) => (text: string) => ({
    bytes: gzipSync(text),
    type: JSON_TYPE,
    encoding,
  })),
  fc
    .constantFrom(
      'text/plain',
      'application/xml',
      'multipart/form-data; boundary=x',
      'application/x-ndjson',
      'application/json+x',
      'x',
      '',
      'application/json; charset="',
      'application/json;;',
      'text/html, application/json',
    )
    .map((type) => (text: string) => ({ bytes: Buffer.from(text), type })),
)

function bodyFor({ operation }: Route, pools: Pools): fc.Arbitrary<Body | null> {
  const schema = operation.requestBody?.content?.[JSON_TYPE]?.schema
  if (schema === undefined)
    return fc.oneof(
      { weight: 9, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.constantFrom(...['{}', '', 'null', '{"a":1}', 'x'].map(asJson)) },
    )
  const good = arbitraryOf(schema, pools.bodies).map(toNode)
  const mutated = fc
    .tuple(good, fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([node, mutations]) => mutate(node, mutations))
  const text = fc.oneof({ weight: 3, arbitrary: good }, { weight: 5, arbitrary: mutated }).map(print)
  return fc.oneof(
    { weight: 8, arbitrary: text.map(asJson) },
    { weight: 2, arbitrary: fc.tuple(text, spoil).map(([one, change]) => change(one)) },
  )
}

const requestTo = (route: Route, pools: Pools): fc.Arbitrary<Request> =>
  fc
    .record({
      path: pathFor(route, pools),
      query: queryFor(route),
      headers: headersFor(pools),
      body: bodyFor(route, pools),
    })
    .map(({ path, query, headers, body }) => ({
      route,
      method: route.method,
      path: path + query,
      headers: {
        ...headers,
        ...(body !== null && body.type !== '' && { 'content-type': body.type }),
        ...(body?.encoding !== undefined && { 'content-encoding': body.encoding }),
      },
      body: body?.bytes ?? null,
    }))

/** Requests to a path or with a method that the document does not have. */
const stray = (routes: Route[], pools: Pools): fc.Arbitrary<Request> => {
  const known = new Set(routes.map(({ method, path }) => `${method} ${path}`))
  const words = fc.oneof(oddText.map(encode), fc.constantFrom('v1', 'projects', 'openapi.json', ...rawParts))
  return fc
    .record({
      place: fc.oneof(
        fc
          .constantFrom(...routes)
          .chain((route) => pathFor(route, pools).map((path) => ({ path, template: route.path }))),
        fc.array(words, { maxLength: 8 }).map((parts) => ({ path: `/${parts.join('/')}`, template: '' })),
      ),
      method: fc.constantFrom('PUT', 'DELETE', 'PATCH', 'POST', 'OPTIONS', 'TRACE', 'PROPFIND', 'LOCK'),
      headers: headersFor(pools),
    })
    .filter(({ place, method }) => !known.has(`${method} ${place.template}`))
    .map(({ place, method, headers }) => ({ route: null, method, path: place.path, headers, body: null }))
}

/** Requests to every route, calls that write being the most common. */
export function requestsTo(routes: Route[], pools: Pools): fc.Arbitrary<Request> {
  const weighted = routes.map((route) => ({
    weight: route.path.endsWith('/objects/{object}') ? 40 : route.operation.requestBody === undefined ? 2 : 8,
    arbitrary: requestTo(route, pools),
  }))
  return fc.oneof(...weighted, { weight: 6, arbitrary: stray(routes, pools) })
}

/** Requests to a route that nothing is wrong with but what their values come to. */
export function mildRequestsTo(route: Route, pools: Pools): fc.Arbitrary<Request> {
  const schema = route.operation.requestBody?.content?.[JSON_TYPE]?.schema
  const places = pools.spares[`${route.method} ${route.path}`] ?? {}
  const parts = route.path
    .split(/\{(\w+)\}/)
    .map((part, index) =>
      index % 2 === 0
        ? fc.constant(part)
        : fc.constantFrom(...(places[part] ?? pools.places[part] ?? ['x'])).map(encode),
    )
  const body = schema === undefined ? fc.constant(null) : arbitraryOf(schema, pools.bodies).map(toNode)
  return fc.tuple(fc.tuple(...parts), body).map(([path, node]) => ({
    route,
    method: route.method,
    path: path.join(''),
    headers: { 'x-api-key': pools.keys[0] ?? '', ...(node !== null && { 'content-type': JSON_TYPE }) },
    body: node === null ? null : Buffer.from(print(node)),
  }))
}

/** One line that says what was sent. */
export const describeRequest = ({ method, path, headers, body }: Request): string =>
  `${method} ${path} ${JSON.stringify(headers)} ${body === null ? '-' : JSON.stringify(body.toString('utf8').slice(0, 3_000))}`
