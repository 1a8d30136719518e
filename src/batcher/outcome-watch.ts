import type { WriteAhead } from '../queue/find-ahead.ts'
import type { CallTime } from './call-time.ts'

/** Waits for operations to end: of the intake's waiter the part that is used here. */
export interface OutcomeWaiter {
  wait: (id: string, ms: number) => { ended: Promise<boolean>; cancel: () => void }
}

/** Watches the operations of the writes that are ahead of a call's own. */
export class OutcomeWatch {
  readonly #waiter: OutcomeWaiter
  #waits = new Map<string, ReturnType<OutcomeWaiter['wait']>>()

  constructor(waiter: OutcomeWaiter) {
    this.#waiter = waiter
  }

  /** Watches these and no others. True when one of them was not watched before. */
  set(heads: WriteAhead[], ms: number): boolean {
    const watched = new Set(heads.map((head) => head.operationId))
    for (const [id, wait] of this.#waits) {
      if (watched.has(id)) continue
      wait.cancel()
      this.#waits.delete(id)
    }
    const fresh = [...watched].filter((id) => !this.#waits.has(id))
    for (const id of fresh) this.#waits.set(id, this.#waiter.wait(id, ms))
    return fresh.length > 0
  }

  /** Resolves when one of them has ended, after `ms`, or when the call's time is over. */
  async next(time: CallTime, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    for (const [id, wait] of this.#waits) {
      void wait.ended.then((ended) => {
        if (!ended) return
        this.#waits.delete(id)
        resolve(undefined)
      })
    }
    await Promise.race([promise, time.wait(ms)])
  }

  end(): void {
    for (const wait of this.#waits.values()) wait.cancel()
    this.#waits.clear()
  }
}
