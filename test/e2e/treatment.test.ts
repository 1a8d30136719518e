import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { caller, createTenant, startService, type Service, type Tenant } from '../support/service.ts'

let service: Service
let mapped: Tenant

beforeAll(async () => {
  // one group in each call, so that a call is a group
  service = await startService({}, {}, undefined, { packing: 'none' })
  mapped = await createTenant(service.app.url, service.simulator.url, {
    Contact: {
      objectName: 'Contact',
      mapToName: 'person',
      fieldMappings: { surname: 'LastName', given: 'FirstName', key: 'External_Id__c' },
      selectedFieldSettings: {
        Title: { default: { stringValue: 'Unknown' } },
        given: { writeOnUpdate: 'never' },
        Phone: { writeOnCreate: 'never' },
        Department: { writeOnUpdate: 'ifEmpty' },
      },
    },
  })
})
afterAll(() => service.stop())

const recordOf = async (tenant: Tenant, id: string): Promise<Record<string, unknown>> => {
  const operation = await tenant.operation(id)
  expect(operation.result).toMatch(/^The record was (created|written)\.$/)
  return service.simulator.org.record(operation.metadata.successfulRecordIds[0]!)!
}

describe('headers and options', () => {
  it('reach the provider, and keep writes apart that differ in them', async () => {
    const { tenant, simulator } = service
    const bodies = [
      { options: { runAssignmentRules: false } },
      { headers: [{ key: 'sforce-auto-assign', value: 'false' }] },
      { options: { allowDuplicates: true } },
      {},
    ]
    const ids = await Promise.all(
      bodies.map((body, index) =>
        tenant.write('Lead', {
          type: 'create',
          record: { LastName: `L${index}`, Company: 'C' },
          autoBatchPolicy: { maxDelaySeconds: 0.4 },
          ...body,
        }),
      ),
    )
    for (const id of ids) expect((await tenant.operation(id)).status).toBe('success')
    const calls = simulator.org.requests.list((entry) => entry.objects.includes('Lead'))
    const seen = calls.map((entry) => [
      entry.recordCount,
      entry.headers['sforce-auto-assign'] ?? '',
      entry.headers['sforce-duplicate-rule-header'] ?? '',
    ])
    expect(seen.sort()).toEqual([
      [1, '', ''],
      [1, '', 'allowSave=true'],
      [2, 'FALSE', ''],
    ])
  })

  it('allowDuplicates saves what a duplicate rule warns of', async () => {
    const { tenant, simulator } = service
    simulator.org.defineDuplicateRule({
      object: 'Account',
      name: 'Same name',
      fields: ['Name'],
      action: 'alert',
    })
    simulator.org.create('Account', { Name: 'Twin' })
    const refused = await tenant.operation(
      await tenant.write('Account', { type: 'create', record: { Name: 'Twin' } }),
    )
    expect(refused.metadata.records[0]!.errors[0]!.code).toBe('DUPLICATES_DETECTED')
    const saved = await tenant.write('Account', {
      type: 'create',
      record: { Name: 'Twin' },
      options: { allowDuplicates: true },
    })
    expect((await tenant.operation(saved)).status).toBe('success')
    expect(simulator.org.find('Account', 'Name', 'Twin')).toHaveLength(2)
  })

  it('ignoreEmptyValues leaves a field as it is, its absence clears it', async () => {
    const { tenant, simulator } = service
    const make = () => simulator.org.create('Contact', { LastName: 'Kept', Phone: '1' })
    const update = (id: string, options: object) =>
      tenant.write('Contact', { type: 'update', record: { id, LastName: 'New', Phone: '' }, ...options })
    expect(
      await recordOf(tenant, await update(make(), { options: { ignoreEmptyValues: true } })),
    ).toMatchObject({ LastName: 'New', Phone: '1' })
    expect(await recordOf(tenant, await update(make(), {}))).toMatchObject({ LastName: 'New', Phone: null })
  })
})

describe('variables', () => {
  it('take their places, with their own types', async () => {
    const id = await service.tenant.write('Contact', {
      type: 'create',
      record: { LastName: '{{ name }}', Score__c: '{{score}}', Notes__c: 'Dear {{name}}, {{score}} points' },
      variables: { name: 'Ngata', score: 12 },
    })
    expect(await recordOf(service.tenant, id)).toMatchObject({
      LastName: 'Ngata',
      Score__c: 12,
      Notes__c: 'Dear Ngata, 12 points',
    })
  })
})

describe('what an installation makes of names and fields', () => {
  it('maps names, adds defaults, leaves out what is not written', async () => {
    const id = await mapped.write('person', {
      type: 'create',
      record: { surname: 'Map', given: 'Ana', Phone: '5' },
    })
    const record = await recordOf(mapped, id)
    expect(record).toMatchObject({ LastName: 'Map', FirstName: 'Ana', Title: 'Unknown', Phone: null })
    const updated = await mapped.write('Contact', {
      type: 'update',
      record: { id: record['Id'], surname: 'Mapped', given: 'Eva', Title: 'Dr' },
    })
    expect(await recordOf(mapped, updated)).toMatchObject({
      LastName: 'Mapped',
      FirstName: 'Ana',
      Title: 'Dr',
    })
  })

  it('maps the external id of an upsert, whose defaults fill only what is empty', async () => {
    service.simulator.org.create('Contact', { LastName: 'There', Title: 'Boss', External_Id__c: 'key-9' })
    const id = await mapped.write('person', {
      type: 'upsert',
      externalIdField: 'key',
      record: { key: 'KEY-9', surname: 'Here' },
    })
    expect(await recordOf(mapped, id)).toMatchObject({ LastName: 'Here', Title: 'Boss' })
    const made = await mapped.write('person', {
      type: 'upsert',
      externalIdField: 'key',
      record: { key: 'KEY-10', surname: 'New' },
    })
    expect(await recordOf(mapped, made)).toMatchObject({ LastName: 'New', Title: 'Unknown' })
  })

  it('writes a field on update only where the record has no value yet', async () => {
    const { org } = service.simulator
    const full = org.create('Contact', { LastName: 'Full', Department: 'Kept' })
    const empty = org.create('Contact', { LastName: 'Empty' })
    const ids = await Promise.all(
      [full, empty].map((id) =>
        mapped.write('person', { type: 'update', record: { id, surname: 'Seen', Department: 'Filled' } }),
      ),
    )
    const records = await Promise.all(ids.map((id) => recordOf(mapped, id)))
    expect(records.map((record) => [record['LastName'], record['Department']])).toEqual([
      ['Seen', 'Kept'],
      ['Seen', 'Filled'],
    ])
  })

  it('refuses a record in which two names are one field', async () => {
    await expect(
      mapped.write('person', { type: 'create', record: { surname: 'a', LastName: 'b' } }),
    ).rejects.toThrow('/record/')
  })

  it('refuses a configuration that cannot be, naming every issue', async () => {
    const admin = caller(service.app.url)
    const path = `/v1/projects/${mapped.projectId}/integrations/${mapped.integrationId}/installations`
    const post = (entry: object) =>
      admin<{ code: string; issues: { path: string }[] }>('POST', path, {
        groupRef: 'other',
        connectionId: mapped.connectionId,
        config: {
          content: {
            provider: 'salesforce',
            write: { objects: { Contact: { objectName: 'Contact', ...entry } } },
          },
        },
      })
    const answer = await post({
      fieldMappings: { a: 'LastName', b: 'lastname' },
      selectedFieldSettings: { Title: { default: {}, writeOnUpdate: 'sometimes' } },
    })
    expect(answer.status).toBe(400)
    const paths = answer.body.issues.map((issue) => issue.path)
    expect(paths.filter((one) => one.includes('/fieldMappings/'))).not.toEqual([])
    expect(paths.filter((one) => one.includes('/selectedFieldSettings/Title/'))).toHaveLength(2)
  })
})
