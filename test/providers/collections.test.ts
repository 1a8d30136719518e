import { describe, expect, it } from 'vitest'
import type { ProviderGroup } from '../../src/providers/provider.ts'
import { collectionsRequest, InvalidGroup } from '../../src/providers/salesforce/collections.ts'

const group = (part: Partial<ProviderGroup>): ProviderGroup => ({
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records: ['{"LastName":"Ito"}'],
  ...part,
})

describe('the call', () => {
  it('creates with POST, a single record as a collection of one', () => {
    const { method, path, body } = collectionsRequest(group({}))
    expect([method, path]).toEqual(['POST', '/composite/sobjects'])
    expect(JSON.parse(body!)).toEqual({
      allOrNone: false,
      records: [{ attributes: { type: 'Contact' }, LastName: 'Ito' }],
    })
  })

  it('updates with PATCH and passes allOrNone on', () => {
    const { method, path, body } = collectionsRequest(
      group({
        type: 'update',
        allOrNone: true,
        records: ['{"id":"003A","LastName":"Ito"}', '{"id":"003B"}'],
      }),
    )
    expect([method, path]).toEqual(['PATCH', '/composite/sobjects'])
    expect(JSON.parse(body!)).toEqual({
      allOrNone: true,
      records: [
        { attributes: { type: 'Contact' }, id: '003A', LastName: 'Ito' },
        { attributes: { type: 'Contact' }, id: '003B' },
      ],
    })
  })

  it('deletes by the ids in the path, in order', () => {
    const records = ['{"id":"003000000000001AAA"}', '{"id":"003000000000002AAA"}']
    expect(collectionsRequest(group({ type: 'delete', records }))).toEqual({
      method: 'DELETE',
      path: '/composite/sobjects?ids=003000000000001AAA,003000000000002AAA&allOrNone=false',
      body: null,
    })
  })

  it('upserts with PATCH on the field, names encoded', () => {
    const odd = collectionsRequest(group({ type: 'upsert', objectName: 'A/b#c', externalIdField: 'K y?' }))
    expect([odd.method, odd.path]).toEqual(['PATCH', '/composite/sobjects/A%2Fb%23c/K%20y%3F'])
  })

  it('keeps every record text as it is, an empty object and white space included', () => {
    const records = ['{}', ' { } ', '{ "A": 1.10 }', '\n{"A":"}{"}', '{"Parent__r":{"Ext__c":"v"}}']
    const { body } = collectionsRequest(group({ records }))
    expect(body).toContain('1.10')
    expect(JSON.parse(body!)).toEqual({
      allOrNone: false,
      records: [{}, {}, { A: 1.1 }, { A: '}{' }, { Parent__r: { Ext__c: 'v' } }].map((record) => ({
        attributes: { type: 'Contact' },
        ...record,
      })),
    })
  })
})

describe('a group that no call can carry', () => {
  it.each<[string, Partial<ProviderGroup>]>([
    ['no records', { records: [] }],
    ['201 records', { records: Array.from({ length: 201 }, () => '{}') }],
    ['a record that is no object', { records: ['[1]'] }],
    ['a delete without an id', { type: 'delete', records: ['{}'] }],
    ['a delete of what is no id', { type: 'delete', records: ['{"id":"003&allOrNone=true"}'] }],
    ['an upsert without a field', { type: 'upsert' }],
    ['an object that climbs the path', { type: 'upsert', objectName: '..', externalIdField: 'K' }],
  ])('is refused: %s', (_, part) => {
    expect(() => collectionsRequest(group(part))).toThrow(InvalidGroup)
  })
})
