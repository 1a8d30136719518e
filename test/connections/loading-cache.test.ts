import { describe, expect, test } from 'vitest'
import { LoadingCache } from '../../src/connections/loading-cache.ts'
import type { Clock } from '../../src/kernel/clock.ts'

class Away extends Error {}

/** A clock that moves by hand and tells who is waiting. */
function handClock() {
  let now = 0
  const timers: { at: number; fn: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after: (ms, fn) => {
      const timer = { at: now + ms, fn }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
  }
  const advance = (ms: number): void => {
    now += ms
    for (const timer of [...timers]) if (timer.at <= now) timer.fn()
  }
  return { clock, advance }
}

function makeCache(max = 10) {
  const { clock, advance } = handClock()
  const cache = new LoadingCache<{ value: number }>({
    max,
    ttlMs: 10_000,
    patienceMs: 1_000,
    clock,
    mayServeOld: (error) => error instanceof Away,
  })
  return { cache, advance }
}

/** A source that counts its loads and answers them in turn. */
function source(...answers: (number | null | Error)[]) {
  let loads = 0
  return {
    load: () => {
      const answer = answers[Math.min(loads++, answers.length - 1)] ?? null
      if (answer instanceof Error) return Promise.reject(answer)
      return Promise.resolve(answer === null ? null : { value: answer })
    },
    count: () => loads,
  }
}

describe('loading cache', () => {
  test('loads once, for all who ask at once and until the entry is too old', async () => {
    const { cache, advance } = makeCache()
    const from = source(1, 2)
    const all = await Promise.all([cache.get('k', from.load), cache.get('k', from.load)])
    expect(all).toEqual([{ value: 1 }, { value: 1 }])
    advance(9_999)
    expect(await cache.get('k', from.load)).toEqual({ value: 1 })
    expect(from.count()).toBe(1)
    advance(1)
    expect(await cache.get('k', from.load)).toEqual({ value: 2 })
  })

  test('what is not there is asked for every time and takes no room', async () => {
    const { cache } = makeCache()
    const from = source(null, null, 3)
    expect(await cache.get('k', from.load)).toBeNull()
    expect(await cache.get('k', from.load)).toBeNull()
    expect(cache.size).toBe(0)
    expect(await cache.get('k', from.load)).toEqual({ value: 3 })
  })

  test('what is gone is forgotten', async () => {
    const { cache } = makeCache()
    const from = source(1, null)
    await cache.get('k', from.load)
    cache.expireAll()
    expect(await cache.get('k', from.load)).toBeNull()
    expect(cache.size).toBe(0)
  })

  test('a load that began before a change is not shared with those who come after it, nor kept', async () => {
    const { cache } = makeCache()
    const before = Promise.withResolvers<{ value: number } | null>()
    const early = cache.get('k', () => before.promise)
    cache.expireAll()
    const late = cache.get('k', () => Promise.resolve({ value: 2 }))
    expect(await late).toEqual({ value: 2 })
    before.resolve({ value: 1 })
    expect(await early).toEqual({ value: 1 })
    expect(await cache.get('k', source(3).load)).toEqual({ value: 2 })
  })

  test('with the source away the old value is answered, however old; other failures are told', async () => {
    const { cache, advance } = makeCache()
    const from = source(1, new Away(), new Error('a mistake'), 4)
    await cache.get('k', from.load)
    advance(3_600_000)
    expect(await cache.get('k', from.load)).toEqual({ value: 1 })
    await expect(cache.get('k', from.load)).rejects.toThrow('a mistake')
    expect(await cache.get('k', from.load)).toEqual({ value: 4 })
    await expect(cache.get('unknown', source(new Away()).load)).rejects.toThrow(Away)
  })

  test('a source that hangs is not waited for where an old value is at hand', async () => {
    const { cache, advance } = makeCache()
    await cache.get('k', source(1).load)
    cache.expireAll()
    const hanging = cache.get('k', () => new Promise(() => undefined))
    advance(1_000)
    expect(await hanging).toEqual({ value: 1 })
  })

  test('holds no more than its bound and drops what was not used the longest', async () => {
    const { cache, advance } = makeCache(2)
    const from = source(1)
    await cache.get('a', from.load)
    await cache.get('b', from.load)
    advance(1_000)
    await cache.get('a', from.load)
    await cache.get('c', from.load)
    expect(cache.size).toBe(2)
    expect(from.count()).toBe(3)
    await cache.get('a', from.load)
    expect(from.count()).toBe(3)
    await cache.get('b', from.load)
    expect(from.count()).toBe(4)
  })
})
