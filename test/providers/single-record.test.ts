import { describe, expect, it } from 'vitest'
import { singleRequest, updateRequest } from '../../src/providers/salesforce/single-record.ts'

const upsert = { objectName: 'Contact', type: 'upsert', externalIdField: 'Key__c', headers: [] } as const
const create = { ...upsert, type: 'create', externalIdField: null } as const
const numbers = '"A":1.10,"B":12345678901234567890,"C":{"D":[1e3,null,"x"]}'

describe('a record sent on its own', () => {
  it('is created as it is', () => {
    expect(singleRequest(create, `{${numbers}}`)).toEqual({
      method: 'POST',
      path: '/sobjects/Contact',
      headers: [],
      body: `{${numbers}}`,
    })
  })

  it('is upserted by a key in the path, its other values unchanged', () => {
    expect(singleRequest(upsert, `{"key__C":"a/b ?#%","LastName":"x",${numbers}}`)).toEqual({
      method: 'PATCH',
      path: '/sobjects/Contact/Key__c/a%2Fb%20%3F%23%25',
      headers: [],
      body: `{"LastName":"x",${numbers}}`,
    })
  })

  it.each([
    ['1.10', '1.10'],
    ['12345678901234567890', '12345678901234567890'],
    ['true', 'true'],
  ])('has the key %s in the path as it was written', (value, text) => {
    expect(singleRequest(upsert, `{"Key__c":${value}}`).path).toBe(`/sobjects/Contact/Key__c/${text}`)
  })

  it.each(['{}', '{"Key__c":null}', '{"Key__c":""}', '{"Key__c":".."}'])('needs a key: %s', (record) => {
    expect(() => singleRequest(upsert, record)).toThrow('value of Key__c')
  })
})

describe('an update of what it collided with', () => {
  it('has all its fields, the key among them, but no id', () => {
    const id = '003000000000001AAA'
    expect(updateRequest(upsert, `{"Key__c":"k","Id":"x",${numbers}}`, id)).toEqual({
      method: 'PATCH',
      path: `/sobjects/Contact/${id}`,
      headers: [],
      body: `{"Key__c":"k",${numbers}}`,
    })
  })
})
