import { describe, expect, it } from 'vitest'
import { belowVersion, readEndpoint } from '../../src/actions/endpoint.ts'
import { effectsOf } from '../../src/actions/write-effects.ts'
import { checkEffects, needsObjectNames } from '../../src/actions/write-rules.ts'
import { isWritebackError } from '../../src/kernel/errors.ts'
import type { ConfiguredObject } from '../../src/model/object-entry.ts'

const listed = new Map<string, ConfiguredObject>([
  ['Contact', { objectName: 'Contact', deletionSettings: { enabled: true } }],
  ['Account', { objectName: 'Account' }],
  ['company', { objectName: 'Account', mapToName: 'company' }],
])
const prefixes: Record<string, string> = { '001': 'Account', '003': 'Contact', '00Q': 'Lead' }

/** Whether a call may be made: without listed objects, and with Contact (deletions enabled) and Account listed. */
function verdicts(method: string, text: string, body?: unknown): [boolean, boolean] {
  const endpoint = readEndpoint(text)
  if (typeof endpoint === 'string') throw new Error(endpoint)
  const query = new URLSearchParams(text.split('?')[1])
  const effects = effectsOf({ method, segments: belowVersion(endpoint), query, body })
  const verdict = (objects: ReadonlyMap<string, ConfiguredObject> | null): boolean => {
    try {
      checkEffects(effects, objects, (prefix) => prefixes[prefix] ?? null)
      return true
    } catch (error) {
      if (isWritebackError(error, 'FORBIDDEN')) return false
      throw error
    }
  }
  return [verdict(null), verdict(listed)]
}

const contact = '003RM000006EncrYAC'
const account = '001RM000003oLruYAE'
const v = '/services/data/v67.0'
const sub = (method: string, url: string, body?: unknown) => ({ method, url, referenceId: 'a', body })
const composite = (...requests: unknown[]) => ({ compositeRequest: requests })
const batch = (...requests: unknown[]) => ({ batchRequests: requests })
const graph = (...requests: unknown[]) => ({ graphs: [{ graphId: 'g', compositeRequest: requests }] })
const records = (...types: unknown[]) => ({
  records: types.map((type) => ({ attributes: { type }, Name: 'x' })),
})

type Row = [method: string, endpoint: string, withoutObjects: boolean, withObjects: boolean, body?: unknown]

const rows: Row[] = [
  // Reading is free.
  ['GET', '/sobjects/Lead', true, true],
  ['HEAD', '/sobjects/Lead', true, true],
  ['GET', '/query?q=SELECT+Id+FROM+Lead', true, true],
  ['GET', '/services/apexrest/Orders', true, true],
  ['GET', '/tooling/query?q=x', true, true],
  ['POST', '/composite/sobjects/Lead', true, true, { ids: [contact], fields: ['Id'] }],
  ['POST', '/graphql', true, true, { query: '{ uiapi { query { Lead } } }' }],
  ['POST', '/jobs/query', true, true, { operation: 'query', query: 'SELECT Id FROM Lead' }],
  ['POST', '/parameterizedSearch', true, true, { q: 'x' }],
  // It runs Apex, though it is a GET.
  ['GET', '/tooling/executeAnonymous?anonymousBody=delete', false, false],
  ['GET', '/tooling/runTestsSynchronous', false, false],

  // Single records.
  ['POST', '/sobjects/Contact', true, true],
  ['POST', '/sobjects/contact', true, true],
  ['POST', `${v}/sobjects/Account/Id`, true, true],
  ['POST', '/sobjects/Lead', true, false],
  ['POST', '/sobjects/company', true, false],
  ['PATCH', `/sobjects/Lead/${contact}`, true, false],
  ['PATCH', '/sobjects/Contact/External_Id__c/a', true, true],
  ['PATCH', '/sobjects/Lead/External_Id__c/a', true, false],
  ['PUT', '/sobjects/Lead/x', true, false],
  ['DELETE', `/sobjects/Contact/${contact}`, false, true],
  ['DELETE', '/sobjects/Contact/External_Id__c/a', false, true],
  ['DELETE', `/sobjects/Account/${account}`, false, false],
  ['DELETE', `/sobjects/Lead/${contact}`, false, false],
  // Below a record there are the records of others.
  ['PATCH', `/sobjects/Contact/${contact}/Account`, true, false],
  ['DELETE', `/sobjects/Contact/${contact}/Account`, false, false],
  ['POST', '/sobjects/Account/quickActions/NewLead', true, false],
  ['DELETE', '/sobjects', false, false],

  // Collections.
  ['POST', '/composite/sobjects', true, true, records('Contact', 'Account')],
  ['POST', '/composite/sobjects', true, false, records('Contact', 'Lead')],
  ['POST', '/composite/sobjects', true, false, records('Contact', undefined)],
  ['POST', '/composite/sobjects', true, false, undefined],
  ['POST', '/composite/sobjects', true, false, { records: [], Records: records('Lead').records }],
  ['PATCH', '/composite/sobjects/Contact/External_Id__c', true, true, records('Contact')],
  ['PATCH', '/composite/sobjects/Contact/External_Id__c', true, false, records('Lead')],
  ['PATCH', '/composite/sobjects/Lead/External_Id__c', true, false, records('Contact')],
  ['DELETE', `/composite/sobjects?ids=${contact}`, false, true],
  ['DELETE', `/composite/sobjects?ids=${contact},${account}`, false, false],
  ['DELETE', `/composite/sobjects?ids=${contact}&ids=${account}`, false, false],
  ['DELETE', '/composite/sobjects?ids=a0XRM000006EncrYAC', false, false],
  ['DELETE', '/composite/sobjects?ids=x', false, false],
  // Of another letter case than its checksum says: it may stand for a record of another object.
  ['DELETE', `/composite/sobjects?ids=${contact.replace('RM', 'rm')}`, false, false],
  ['DELETE', '/composite/sobjects', false, false],
  ['POST', '/composite/tree/Account', true, true, records('Account')],
  [
    'POST',
    '/composite/tree/Account',
    true,
    false,
    { records: [{ attributes: { type: 'Account' }, Leads__r: records('Lead') }] },
  ],
  ['POST', '/composite/tree/Account', true, false, { records: [{ Name: 'x' }] }],

  // Subrequests.
  ['POST', '/composite', true, true, composite(sub('GET', `${v}/sobjects/Lead/x`))],
  ['POST', '/composite', true, true, composite(sub('PATCH', `${v}/sobjects/Contact/@{a.id}`))],
  [
    'POST',
    '/composite',
    true,
    false,
    composite(sub('POST', `${v}/sobjects/Contact`), sub('POST', `${v}/sobjects/Lead`)),
  ],
  ['POST', '/composite', false, true, composite(sub('DELETE', `${v}/sobjects/Contact/${contact}`))],
  ['POST', '/composite', false, false, composite(sub('delete', `${v}/sobjects/Account/${account}`))],
  ['POST', '/composite', false, false, composite(sub('DELETE', `${v}/composite/sobjects?ids=${account}`))],
  [
    'POST',
    '/composite',
    false,
    false,
    composite(sub('POST', `${v}/sobjects/Contact/${contact}?_HttpMethod=DELETE`)),
  ],
  ['POST', '/composite', false, false, composite(sub('POST', `${v}/composite`, composite()))],
  ['POST', '/composite', false, false, composite(sub('POST', `${v}/sobjects/Contact?a;_HttpMethod=DELETE`))],
  ['POST', '/composite', false, false, composite({ method: 'DELETE', Url: 'x' })],
  ['POST', '/composite', false, false, composite(sub('DELETE\u0000', `${v}/sobjects/Contact/${contact}`))],
  ['POST', '/composite', false, false, composite(sub('PURGE', `${v}/sobjects/Contact/${contact}`))],
  // What leads elsewhere than its text shows, or cannot be told.
  ...[
    `${v}/sobjects/Contact/../Lead`,
    `${v}/query/%2e%2e/composite`,
    `${v}/sobjects/Contact/a%2F..%2Fb`,
    `${v}/sobjects\\Contact`,
    `${v}//sobjects/Contact`,
    `${v}/@{a.path}`,
    `${v}/sobjects/@{a.type}/x`,
  ].flatMap((url): Row[] => [
    ['POST', '/composite', false, false, composite(sub('GET', url))],
    ['POST', '/composite', false, false, composite(sub('POST', url))],
  ]),
  ['POST', '/composite', false, false, { compositeRequest: [], CompositeRequest: [] }],
  ['POST', '/composite', false, false, undefined],
  [
    'POST',
    '/composite/batch',
    true,
    true,
    batch({ method: 'POST', url: 'v67.0/sobjects/Contact', richInput: {} }),
  ],
  [
    'POST',
    '/composite/batch',
    false,
    false,
    batch({ method: 'DELETE', url: `v67.0/sobjects/Account/${account}` }),
  ],
  ['POST', '/composite/batch', false, false, batch({ method: 'DELETE', url: '/v67.0/connect/x' })],
  ['POST', '/connect/batch', false, false, batch({ method: 'DELETE', url: '/v67.0/connect/x' })],
  ['POST', '/composite/graph', true, true, graph(sub('POST', `${v}/sobjects/Contact`))],
  ['POST', '/composite/graph', true, false, graph(sub('POST', `${v}/sobjects/Lead`))],
  ['POST', '/composite/graph', false, false, graph(sub('DELETE', `${v}/sobjects/Account/${account}`))],
  ['POST', '/composite/graph', false, false, { graphs: [{ graphId: 'g' }] }],
  ['POST', '/composite/unknown', false, false, composite(sub('GET', `${v}/limits`))],

  // What cannot be told.
  ['POST', '/services/apexrest/Orders', true, false],
  ['DELETE', '/services/apexrest/Orders', false, false],
  ['POST', '/jobs/ingest', true, false, { object: 'Contact', operation: 'insert' }],
  ['POST', '/jobs/ingest', false, false, { object: 'Contact', operation: 'hardDelete' }],
  ['POST', '/jobs/ingest', false, false, { object: 'Contact', operation: 'insert', Operation: 'delete' }],
  ['PUT', '/jobs/ingest/750R0/batches', true, false],
  ['DELETE', '/jobs/ingest/750R0', false, false],
  ['POST', '/tooling/sobjects/ApexClass', true, false],
  ['DELETE', '/tooling/sobjects/ApexClass/01pR0', false, false],
  [
    'POST',
    '/tooling/composite',
    false,
    false,
    composite(sub('DELETE', `${v}/tooling/sobjects/CustomField/00N`)),
  ],
  [
    'POST',
    '/tooling/composite',
    true,
    false,
    composite(sub('PATCH', `${v}/tooling/sobjects/CustomField/00N`)),
  ],
  ['GET', '/tooling/composite', true, true],
  ['POST', '/metadata/deployRequest', false, false, { deployOptions: {} }],
  ['POST', '/connect/communities/x', true, false],
  ['POST', '/actions/custom/flow/Do', true, false],
  ['POST', '/graphql', false, false, { query: 'mutation { uiapi { RecordDelete } }' }],
  ['POST', '/graphql', false, false, { query: '{ x }', Query: 'mutation { x }' }],
  ['DELETE', '/ui-api/records/001', false, false],
]

describe('what a custom call may write', () => {
  it.each(rows)(
    '%s %s: %s without listed objects, %s with them (%j)',
    (method, endpoint, without, withThem, body) => {
      expect(verdicts(method, endpoint, body)).toEqual([without, withThem])
    },
  )

  it('needs the names of the org’s objects for ids alone', () => {
    const effects = effectsOf({
      method: 'DELETE',
      segments: ['composite', 'sobjects'],
      query: new URLSearchParams(`ids=${contact}`),
      body: undefined,
    })
    expect([needsObjectNames(effects, null), needsObjectNames(effects, listed)]).toEqual([false, true])
  })
})
