import { describe, expect, it } from 'vitest'
import { classOf } from '../../src/metrics/code-classes.ts'
import { errorTable } from '../../src/providers/salesforce/error-table.ts'

/** What only a fault of ours brings about: to be looked at as it is. */
const ours = ['METHOD_NOT_ALLOWED', 'CONFLICT', 'MATCH_PRECONDITION_FAILED', 'MATCH_PRECONDITION_REQUIRED']

describe('the class of a code', () => {
  it('is known of every code that the provider is known to answer with', () => {
    const others = [...errorTable.keys()].filter((code) => classOf(code) === 'other')
    expect(others.sort()).toEqual(ours.sort())
  })

  it('is one of few, whatever the code', () => {
    expect(classOf('SOMETHING_NEW__c')).toBe('other')
    expect(new Set([...errorTable.keys()].map(classOf)).size).toBeLessThan(13)
  })
})
