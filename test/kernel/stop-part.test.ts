import { describe, expect, it } from 'vitest'
import { stopPart } from '../../src/kernel/stop-part.ts'

describe('stopping a part', () => {
  const stopped = async (stop: () => Promise<unknown>, withinMs: number): Promise<string[]> => {
    const told: string[] = []
    const error = ({ err }: { err: Error }): void => void told.push(err.message)
    await stopPart(stop, { logger: { error }, withinMs })
    return told
  }

  it('waits for its end, and tells nothing of one that ended', async () => {
    let hasEnded = false
    const stop = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      hasEnded = true
    }
    expect(await stopped(stop, 60_000)).toEqual([])
    expect(hasEnded).toBe(true)
  })

  it('goes on past one that never ends', async () => {
    expect(await stopped(() => new Promise(() => undefined), 5)).toEqual(['It had not stopped after 5 ms.'])
  })

  it('goes on past one that fails', async () => {
    expect(await stopped(() => Promise.reject(new Error('no')), 60_000)).toEqual(['no'])
  })
})
