import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import {
  startDispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type Turn,
} from '../../src/wakeups/dispatcher.ts'
import type { LaneJob } from '../../src/wakeups/wakeups.ts'
import { steppedClock } from '../batcher/fixture.ts'
import { waitUntil } from '../support/wait-until.ts'

let dispatcher: Dispatcher | undefined
afterEach(() => dispatcher?.stop(0))

/** A queue made by hand: what waits is taken in order. */
function queue(waiting: string[]) {
  const taken: number[] = []
  const ended: string[] = []
  const touched: string[][] = []
  let trouble = 0
  let wake: () => void = () => undefined
  return {
    waiting,
    taken,
    ended,
    touched,
    /** The next so many looks at the queue fail. */
    break: (looks: number): void => {
      trouble = looks
    },
    get isBroken() {
      return trouble > 0
    },
    wake: (): void => wake(),
    port: {
      fetch: (count: number): Promise<LaneJob[]> => {
        if (trouble > 0) {
          trouble -= 1
          return Promise.reject(new Error('the database is away'))
        }
        taken.push(count)
        return Promise.resolve(
          waiting.splice(0, count).map((laneId) => ({ jobId: `job of ${laneId}`, laneId })),
        )
      },
      done: (jobId: string): Promise<void> => {
        ended.push(jobId)
        return Promise.resolve()
      },
      touch: (jobIds: string[]): Promise<void> => {
        touched.push(jobIds)
        return Promise.resolve()
      },
      onWake: (listener: () => void): void => {
        wake = listener
      },
    },
  }
}

/** Work that lasts until the test ends it. */
function work() {
  const running = new Map<string, { turn: Turn; end: (error?: Error) => void }>()
  return {
    running,
    run: (laneId: string, turn: Turn): Promise<void> =>
      new Promise((resolve, reject) => {
        running.set(laneId, {
          turn,
          end: (error) => {
            running.delete(laneId)
            if (error === undefined) resolve()
            else reject(error)
          },
        })
      }),
  }
}

const start = (part: Pick<DispatcherOptions, 'wakeups' | 'run'> & Partial<DispatcherOptions>): Dispatcher => {
  dispatcher = startDispatcher({
    nextDueMs: () => Promise.resolve(null),
    slots: 3,
    touchMs: 10_000,
    clock: systemClock,
    logger: silentLogger,
    ...part,
  })
  return dispatcher
}

const until = (condition: () => boolean, what: string): Promise<void> =>
  waitUntil(condition, { timeoutMs: 3_000, what })

describe('a dispatcher', () => {
  it('works on no more jobs at once than it has slots, and takes the next when one ends', async () => {
    const jobs = queue(['a', 'b', 'c', 'd', 'e'])
    const { running, run } = work()
    const { active } = start({ wakeups: jobs.port, run })
    expect(active).toBe(0)
    await until(() => running.size === 3, 'three jobs')
    expect([...running.keys()]).toEqual(['a', 'b', 'c'])
    expect(dispatcher!.active).toBe(3)
    expect(jobs.waiting).toEqual(['d', 'e'])
    running.get('b')!.end()
    await until(() => running.has('d'), 'the fourth')
    expect([...running.keys()]).toEqual(['a', 'c', 'd'])
    expect(jobs.ended).toEqual(['job of b'])
    expect(Math.max(...jobs.taken)).toBe(3)
    for (const one of ['a', 'c', 'd']) running.get(one)!.end()
    await until(() => running.has('e'), 'the fifth')
    running.get('e')!.end()
    await until(() => jobs.ended.length === 5, 'the end of all')
    expect(dispatcher!.active).toBe(0)
  })

  it('looks at once when it is woken', async () => {
    const jobs = queue([])
    const { running, run } = work()
    start({ wakeups: jobs.port, run, clock: steppedClock() })
    await until(() => jobs.taken.length === 1, 'the first look')
    jobs.waiting.push('a')
    jobs.wake()
    await until(() => running.has('a'), 'the job')
    running.get('a')!.end()
  })

  it('goes on after work that failed, and ends its job', async () => {
    const jobs = queue(['a'])
    const { running, run } = work()
    start({ wakeups: jobs.port, run, clock: steppedClock() })
    await until(() => running.has('a'), 'the job')
    running.get('a')!.end(new Error('no such lane'))
    await until(() => jobs.ended.length === 1, 'its end')
    jobs.waiting.push('b')
    jobs.wake()
    await until(() => running.has('b'), 'the next')
    running.get('b')!.end()
  })

  it('survives a queue that cannot be read', async () => {
    const jobs = queue([])
    const { running, run } = work()
    const clock = steppedClock()
    jobs.break(3)
    start({ wakeups: jobs.port, run, clock })
    jobs.waiting.push('a')
    await until(() => {
      clock.step()
      return running.has('a')
    }, 'the job, after the trouble')
    expect(jobs.isBroken).toBe(false)
    running.get('a')!.end()
  })

  it('survives not knowing when the next lane is due', async () => {
    const jobs = queue([])
    const { running, run } = work()
    const clock = steppedClock()
    const away = new Error('the database is away')
    start({ wakeups: jobs.port, run, clock, nextDueMs: () => Promise.reject(away) })
    await until(() => jobs.taken.length === 1, 'the first look')
    jobs.waiting.push('a')
    await until(() => {
      clock.step()
      return running.has('a')
    }, 'the job')
    running.get('a')!.end()
  })

  it('says that its jobs are still worked on', async () => {
    const jobs = queue(['a', 'b'])
    const { running, run } = work()
    const clock = steppedClock()
    start({ wakeups: jobs.port, run, clock })
    await until(() => running.size === 2, 'the jobs')
    for (let signs = 1; signs <= 2; signs += 1) {
      clock.step()
      await until(() => jobs.touched.length >= signs, 'a sign of life')
      expect(jobs.touched.at(-1)).toEqual(['job of a', 'job of b'])
    }
    for (const one of running.values()) one.end()
  })
})

describe('a dispatcher that stops', () => {
  it('takes nothing more, and waits for what is at work', async () => {
    const jobs = queue(['a', 'b'])
    const { running, run } = work()
    start({ wakeups: jobs.port, run, clock: steppedClock() })
    await until(() => running.size === 2, 'the jobs')
    expect(running.get('a')!.turn.stopping()).toBe(false)
    let isStopped = false
    const stopped = dispatcher!.stop(60_000).then(() => {
      isStopped = true
    })
    jobs.waiting.push('c')
    jobs.wake()
    expect(running.get('a')!.turn.stopping()).toBe(true)
    expect(running.get('a')!.turn.signal.aborted).toBe(false)
    running.get('a')!.end()
    await until(() => jobs.ended.length === 1, 'the first end')
    expect(isStopped).toBe(false)
    running.get('b')!.end()
    await stopped
    expect(jobs.ended).toEqual(['job of a', 'job of b'])
    expect(jobs.waiting).toEqual(['c'])
    expect(dispatcher!.active).toBe(0)
  })

  it('cuts off what takes longer than the drain, and waits for its end', async () => {
    const jobs = queue(['a'])
    const { running, run } = work()
    const clock = steppedClock()
    start({ wakeups: jobs.port, run, clock })
    await until(() => running.has('a'), 'the job')
    const { turn, end } = running.get('a')!
    const cutOff = new Promise<void>((resolve) =>
      turn.signal.addEventListener('abort', () => {
        resolve()
        end()
      }),
    )
    const stopped = dispatcher!.stop(1_000)
    await until(() => {
      clock.step()
      return turn.signal.aborted
    }, 'the end of the drain')
    await Promise.all([cutOff, stopped])
    expect(jobs.ended).toEqual(['job of a'])
  })
})
