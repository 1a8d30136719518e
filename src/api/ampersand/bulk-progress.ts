import { systemClock, type Clock } from '../../kernel/clock.ts'

/** Options of {@link watchProgress}. */
export interface ProgressOptions {
  /** Milliseconds that the client may let pass without sending or reading anything. */
  stallMs: number
  /** Whether it is us whom the client waits for. */
  isOurTurn: () => boolean
  /** Called once, when the client has stalled. */
  onStalled: () => void
  clock?: Clock
}

/** Watches over a call that may take as long as it makes progress. */
export interface Progress {
  /** Something was received, done or read. */
  moved: () => void
  stop: () => void
}

/** Looks several times in the time that a client may stall, so that a busy call pays nothing for it. */
export function watchProgress({
  stallMs,
  isOurTurn,
  onStalled,
  clock = systemClock,
}: ProgressOptions): Progress {
  let last = clock.monotonic()
  let hasMoved = false
  let cancel: () => void = () => undefined
  const look = (): void => {
    const now = clock.monotonic()
    if (hasMoved || isOurTurn()) last = now
    hasMoved = false
    if (now - last >= stallMs) onStalled()
    else cancel = clock.after(stallMs / 4, look)
  }
  look()
  return {
    moved: () => {
      hasMoved = true
    },
    stop: () => cancel(),
  }
}
