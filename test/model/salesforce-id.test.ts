import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseRecordId } from '../../src/model/salesforce-id.ts'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const id15 = fc
  .array(fc.constantFrom(...alphabet.split('')), { minLength: 15, maxLength: 15 })
  .map((chars) => chars.join(''))

describe('record ids', () => {
  it.each([
    ['001RM000003oLru', '001RM000003oLruYAE'],
    ['003ak00000luKU1', '003ak00000luKU1AAM'],
  ])('completes %s to %s', (short, long) => {
    expect(normaliseRecordId(short)).toBe(long)
    expect(normaliseRecordId(long)).toBe(long)
    expect(normaliseRecordId(short + long.slice(15).toLowerCase())).toBe(long)
  })

  it('gives one form to both spellings, and different forms to different records', () => {
    fc.assert(
      fc.property(id15, id15, (a, b) => {
        const long = normaliseRecordId(a)!
        expect(long).toHaveLength(18)
        expect(normaliseRecordId(long)).toBe(long)
        expect(normaliseRecordId(b) === long).toBe(a === b)
      }),
    )
  })

  it.each([
    '',
    '001',
    '001RM000003oLruYA',
    '001RM000003oLruYAEX',
    '001RM000003oLr-',
    '001RM000003oLruYAF',
    '001rm000003oLruYAE',
  ])('refuses %j', (id) => {
    expect(normaliseRecordId(id)).toBeNull()
  })
})
