import { describe, expect, it } from 'vitest'
import { createTurns } from '../../src/kernel/turns.ts'

/** Work that ends when it is told to. */
function stepwise() {
  const begun: string[] = []
  const ends = new Map<string, PromiseWithResolvers<string>>()
  const work = (name: string) => () => {
    begun.push(name)
    const end = Promise.withResolvers<string>()
    ends.set(name, end)
    return end.promise
  }
  return {
    begun,
    work,
    end: (name: string) => ends.get(name)!.resolve(name),
    fail: (name: string) => ends.get(name)!.reject(new Error(name)),
  }
}

describe('turns', () => {
  it('come one after the other for a key, in order, and beside those of other keys', async () => {
    const turns = createTurns()
    const { begun, work, end } = stepwise()
    const results = [
      turns('a', work('a1')),
      turns('a', work('a2')),
      turns('b', work('b1')),
      turns('a', work('a3')),
    ]
    await Promise.resolve()
    expect(begun).toEqual(['a1', 'b1'])
    end('a1')
    expect(await results[0]).toBe('a1')
    await new Promise(setImmediate)
    expect(begun).toEqual(['a1', 'b1', 'a2'])
    end('a2')
    await results[1]
    await new Promise(setImmediate)
    expect(begun).toEqual(['a1', 'b1', 'a2', 'a3'])
    end('a3')
    end('b1')
    expect(await Promise.all(results)).toEqual(['a1', 'a2', 'b1', 'a3'])
  })

  it('go on after one that failed, whose error is its own', async () => {
    const turns = createTurns()
    const { begun, work, end, fail } = stepwise()
    const [first, second] = [turns('a', work('1')), turns('a', work('2'))]
    fail('1')
    await expect(first).rejects.toThrow('1')
    await new Promise(setImmediate)
    expect(begun).toEqual(['1', '2'])
    end('2')
    expect(await second).toBe('2')
    const third = turns('a', work('3'))
    expect(begun).toEqual(['1', '2', '3'])
    end('3')
    await third
  })
})
