import { describe, expect, it } from 'vitest'
import { createGroupBuffer, type GroupBufferOptions } from '../../src/kernel/group-buffer.ts'

/** A flush that each test lets through by hand. */
function heldFlush() {
  const groups: { items: string[]; commit: () => void; fail: (error: unknown) => void }[] = []
  const arrivals: (() => void)[] = []
  const flush = (items: string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      groups.push({ items, commit: resolve, fail: reject })
      arrivals.shift()?.()
    })
  const nextGroup = async () => {
    if (groups.length === 0) await new Promise<void>((resolve) => arrivals.push(resolve))
    return groups.shift()!
  }
  return { flush, nextGroup, groups }
}

const make = (flush: (items: string[]) => Promise<void>, options: Partial<GroupBufferOptions<string>> = {}) =>
  createGroupBuffer<string>({
    maxItems: 100,
    maxBytes: 1000,
    bytesOf: (item) => item.length,
    worthSplitting: () => false,
    flush,
    ...options,
  })

describe('group buffer', () => {
  it('shares one flush among those who arrive while another runs, in order of arrival', async () => {
    const { flush, nextGroup } = heldFlush()
    const buffer = make(flush)
    const first = buffer.add('a')
    const one = await nextGroup()
    expect(one.items).toEqual(['a'])
    const rest = ['b', 'c', 'd'].map((item) => buffer.add(item))
    one.commit()
    await first
    const two = await nextGroup()
    expect(two.items).toEqual(['b', 'c', 'd'])
    two.commit()
    await Promise.all(rest)
    expect(buffer.pendingItems).toBe(0)
    expect(buffer.pendingBytes).toBe(0)
  })

  it('answers nobody before the flush has ended', async () => {
    const { flush, nextGroup } = heldFlush()
    const buffer = make(flush)
    let answered = false
    const added = buffer.add('a').then(() => (answered = true))
    const group = await nextGroup()
    await new Promise((resolve) => setImmediate(resolve))
    expect(answered).toBe(false)
    group.commit()
    await added
    expect(answered).toBe(true)
  })

  it('bounds a flush by items and by bytes, and lets a bigger item go alone', async () => {
    const sizes: number[] = []
    const buffer = make(
      (items) => {
        sizes.push(items.length)
        return Promise.resolve()
      },
      { maxItems: 3, maxBytes: 10 },
    )
    await Promise.all(['a', 'b', 'c', 'd', 'eeeeeeee', 'f'.repeat(50), 'g'].map((item) => buffer.add(item)))
    expect(sizes).toEqual([3, 2, 1, 1])
  })

  it('rejects everyone of a failed flush, and goes on', async () => {
    let fail = true
    const buffer = make(() => (fail ? Promise.reject(new Error('away')) : Promise.resolve()))
    const results = await Promise.allSettled([buffer.add('a'), buffer.add('b')])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected'])
    expect(buffer.pendingItems).toBe(0)
    fail = false
    await expect(buffer.add('c')).resolves.toBeUndefined()
  })

  it('saves the others when one item is at fault', async () => {
    const flushed: string[] = []
    const buffer = make(
      (items) => {
        if (items.includes('bad')) return Promise.reject(new Error('bad value'))
        flushed.push(...items)
        return Promise.resolve()
      },
      { worthSplitting: () => true },
    )
    const results = await Promise.allSettled(['a', 'b', 'bad', 'c', 'd'].map((item) => buffer.add(item)))
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(flushed).toEqual(['a', 'b', 'c', 'd'])
  })

  it('drains', async () => {
    const { flush, nextGroup } = heldFlush()
    const buffer = make(flush)
    const added = buffer.add('a')
    let drained = false
    const draining = buffer.drained().then(() => (drained = true))
    const group = await nextGroup()
    expect(drained).toBe(false)
    group.commit()
    await Promise.all([added, draining])
    expect(drained).toBe(true)
    await expect(buffer.drained()).resolves.toBeUndefined()
  })
})
