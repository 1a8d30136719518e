import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { NAMED_INSTALLATIONS, type QueuePort } from '../../src/metrics/queue-gauges.ts'
import { parseSamples } from './samples.ts'

/** Metrics over a queue that answers as the test says, and a time that moves by hand. */
function metricsOver(answer: () => Promise<number>) {
  let at = 0
  let looks = 0
  let underWay = 0
  let most = 0
  const queue: QueuePort = {
    loads: async (installations) => {
      looks += 1
      underWay += 1
      most = Math.max(most, underWay)
      const waiting = await answer().finally(() => (underWay -= 1))
      return [
        { installationId: `installation-of-${installations}`, waiting, oldestSeconds: 7 },
        { installationId: null, waiting: 3, oldestSeconds: null },
      ]
    },
    quotas: () => Promise.resolve([{ installationId: 'a', left: 25, limit: 100 }]),
    heldLanes: () => Promise.resolve([{ reason: 'quota', lanes: 2 }]),
    workersAlive: () => Promise.resolve(4),
    outbox: () => Promise.resolve({ fresh: 6, again: 5, lateSeconds: -3, failing: 1 }),
  }
  const metrics = createMetrics({
    version: '1',
    role: 'all',
    logger: silentLogger,
    queue,
    clock: { ...systemClock, monotonic: () => at },
  })
  return {
    scrape: async () => parseSamples(await metrics.text()),
    pass: (seconds: number) => void (at += seconds * 1000),
    looks: () => looks,
    most: () => most,
  }
}

const named = { installation: `installation-of-${NAMED_INSTALLATIONS}` }

describe('the gauges of the queue', () => {
  it('say what the database says, with the installations that are not named as one', async () => {
    const samples = await metricsOver(() => Promise.resolve(9)).scrape()
    expect(samples.value('writeback_waiting_writes', named)).toBe(9)
    expect(samples.value('writeback_waiting_writes', { installation: 'other' })).toBe(3)
    expect(samples.value('writeback_oldest_waiting_seconds', named)).toBe(7)
    expect(samples.labels('writeback_oldest_waiting_seconds', 'installation')).toHaveLength(1)
    expect(samples.value('writeback_quota_left_calls', { installation: 'a' })).toBe(25)
    expect(samples.value('writeback_quota_left_ratio', { installation: 'a' })).toBe(0.25)
    expect(samples.value('writeback_held_lanes', { reason: 'quota' })).toBe(2)
    expect(samples.value('writeback_workers_alive')).toBe(4)
    expect(samples.value('writeback_outbox_notifications', { state: 'new' })).toBe(6)
    expect(samples.value('writeback_outbox_notifications', { state: 'again' })).toBe(5)
    // What waits in a digest for others is not late.
    expect(samples.value('writeback_outbox_oldest_seconds')).toBe(0)
    expect(samples.value('writeback_failing_destinations')).toBe(1)
    expect(samples.value('writeback_database_up')).toBe(1)
  })

  it('ask the database once in five seconds, however often they are scraped', async () => {
    let waiting = 1
    const metrics = metricsOver(() => Promise.resolve(waiting))
    await Promise.all(Array.from({ length: 20 }, () => metrics.scrape()))
    waiting = 2
    expect((await metrics.scrape()).value('writeback_waiting_writes', named)).toBe(1)
    expect([metrics.looks(), metrics.most()]).toEqual([1, 1])
    metrics.pass(5)
    expect((await metrics.scrape()).value('writeback_waiting_writes', named)).toBe(2)
    expect(metrics.looks()).toBe(2)
  })

  it('keep what was seen for a minute while the database is away, then have no values', async () => {
    let away = false
    const metrics = metricsOver(() => (away ? Promise.reject(new Error('away')) : Promise.resolve(9)))
    await metrics.scrape()
    away = true
    metrics.pass(30)
    const soon = await metrics.scrape()
    expect([soon.value('writeback_waiting_writes', named), soon.value('writeback_database_up')]).toEqual([
      9, 0,
    ])
    metrics.pass(31)
    const later = await metrics.scrape()
    for (const name of [
      'writeback_waiting_writes',
      'writeback_quota_left_ratio',
      'writeback_workers_alive',
      'writeback_outbox_notifications',
      'writeback_failing_destinations',
    ])
      expect(later.text, name).not.toMatch(new RegExp(`^${name}[ {]`, 'm'))
    expect(later.value('writeback_database_up')).toBe(0)
    away = false
    metrics.pass(5)
    expect((await metrics.scrape()).value('writeback_database_up')).toBe(1)
  })

  it('are not waited for when the database hangs, and no second look is begun', async () => {
    const { promise, resolve } = Promise.withResolvers<number>()
    const metrics = metricsOver(() => promise)
    const begun = performance.now()
    const samples = await metrics.scrape()
    expect(performance.now() - begun).toBeLessThan(3_000)
    expect(samples.value('writeback_database_up')).toBe(0)
    expect(samples.value('writeback_info', { version: '1', role: 'all' })).toBe(1)
    metrics.pass(100)
    await metrics.scrape()
    expect(metrics.looks()).toBe(1)
    resolve(5)
    expect((await metrics.scrape()).value('writeback_waiting_writes', named)).toBe(5)
  })
})
