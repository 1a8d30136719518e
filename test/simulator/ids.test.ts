import { describe, expect, it } from 'vitest'
import { IdSource, normaliseId, toId18 } from '../../src/simulator/ids.ts'
import { connect, contacts } from './client.ts'

describe('record ids', () => {
  it.each([
    ['001RM000003oLru', '001RM000003oLruYAE'],
    ['003ak00000luKU1', '003ak00000luKU1AAM'],
  ])('gives %s its checksum', (id15, id18) => {
    expect(toId18(id15)).toBe(id18)
  })

  it('brings both lengths to 18 characters', () => {
    expect(normaliseId('001RM000003oLru')).toBe('001RM000003oLruYAE')
    expect(normaliseId('001RM000003oLruYAE')).toBe('001RM000003oLruYAE')
  })

  it.each([
    '',
    'abc',
    '001RM000003oLru!',
    '001RM000003oLruAAA',
    '001rm000003olruYAE',
    '001RM000003oLruY',
    7,
    null,
  ])('does not take %j for an id', (text) => {
    expect(normaliseId(text)).toBeUndefined()
  })

  it('makes ids that are all different, even in 15 characters, and the same for the same seed', () => {
    const source = new IdSource(7)
    const ids = Array.from({ length: 5000 }, () => source.next('003'))
    expect(new Set(ids.map((id) => id.slice(0, 15))).size).toBe(5000)
    expect(ids.every((id) => normaliseId(id) === id && id.startsWith('003'))).toBe(true)
    expect(new IdSource(7).next('003')).toBe(ids[0])
    expect(new IdSource(8).next('003')).not.toBe(ids[0])
  })

  it('counts on past the digits, so ids that differ only in case name different records', async () => {
    const client = await connect()
    const items = await client.items('POST', '', { records: contacts(62) })
    const byLowerCase = Map.groupBy(items, (item) => item.id?.slice(0, 15).toLowerCase() ?? '')
    const pair = [...byLowerCase.values()].find((group) => group.length === 2)
    expect(pair).toHaveLength(2)
    const names = (pair ?? []).map((item) => client.org.record(item.id?.slice(0, 15) ?? '')?.LastName)
    expect(names[0]).not.toBe(names[1])
  })

  it('accepts 15 characters wherever 18 do, and answers 18', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'Short' })
    const [item] = await client.items('PATCH', '', {
      records: [{ attributes: { type: 'Contact' }, id: id.slice(0, 15), Title: 'Long' }],
    })
    expect(item).toEqual({ id, success: true, errors: [] })
    expect(
      (await client.call('PATCH', `sobjects/Contact/${id.slice(0, 15)}`, { Title: 'Longer' })).status,
    ).toBe(204)
    expect(client.org.record(id)?.Title).toBe('Longer')
  })
})
