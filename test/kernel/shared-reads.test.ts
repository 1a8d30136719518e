import { describe, expect, it } from 'vitest'
import { createSharedReads } from '../../src/kernel/shared-reads.ts'

interface Reading {
  scope: string
  keys: string[]
  answer: (values: Record<string, string>) => void
  fail: (error: Error) => void
}

/** A source whose readings end when they are told to. */
function source(part: { max?: number; flights?: number } = {}) {
  const readings: Reading[] = []
  const read = createSharedReads<string>({
    max: 3,
    flights: 1,
    ...part,
    readMany: (scope, keys) => {
      const { promise, resolve, reject } = Promise.withResolvers<Map<string, string>>()
      readings.push({
        scope,
        keys,
        answer: (values) => resolve(new Map(Object.entries(values))),
        fail: reject,
      })
      return promise
    },
  })
  return { read, readings, keys: () => readings.map((reading) => reading.keys) }
}

const turn = () => new Promise(setImmediate)

describe('shared reads', () => {
  it('read at once when nothing is under way, and together what came meanwhile', async () => {
    const { read, readings, keys } = source()
    const first = read('p', 'a')
    const rest = [read('p', 'b'), read('p', 'c'), read('p', 'd'), read('p', 'e')]
    expect(keys()).toEqual([['a']])
    readings[0]!.answer({ a: 'A' })
    expect(await first).toBe('A')
    await turn()
    expect(keys()).toEqual([['a'], ['b', 'c', 'd']])
    readings[1]!.answer({ b: 'B', d: 'D' })
    await turn()
    readings[2]!.answer({ e: 'E' })
    expect(await Promise.all(rest)).toEqual(['B', null, 'D', 'E'])
  })

  it('never answer with a reading that had begun before the question', async () => {
    const { read, readings } = source()
    const before = read('p', 'a')
    const after = [read('p', 'a'), read('p', 'a')]
    readings[0]!.answer({ a: 'old' })
    expect(await before).toBe('old')
    await turn()
    expect(readings).toHaveLength(2)
    readings[1]!.answer({ a: 'new' })
    expect(await Promise.all(after)).toEqual(['new', 'new'])
  })

  it('keep scopes apart, and have as many readings of each under way as they may', async () => {
    const { read, readings } = source({ flights: 2 })
    const all = [read('p', 'a'), read('q', 'a'), read('p', 'b'), read('p', 'c')]
    expect(readings.map(({ scope, keys: [key] }) => `${scope}:${key}`)).toEqual(['p:a', 'q:a', 'p:b'])
    for (const { scope, keys, answer } of readings) answer({ [keys[0]!]: `${scope}${keys[0]}` })
    await turn()
    readings[3]!.answer({ c: 'pc' })
    expect(await Promise.all(all)).toEqual(['pa', 'qa', 'pb', 'pc'])
  })

  it('fail those of a reading that failed, and no others', async () => {
    const { read, readings } = source()
    const first = read('p', 'a')
    const second = read('p', 'b')
    readings[0]!.fail(new Error('away'))
    await expect(first).rejects.toThrow('away')
    await turn()
    readings[1]!.answer({ b: 'B' })
    expect(await second).toBe('B')
  })
})
