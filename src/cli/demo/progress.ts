/** What the progress line shows. */
export interface Figures {
  all: number
  accepted: number
  sent: number
  ended: number
  batches: number
}

/** The part of standard output that is written to. */
export interface Screen {
  isTTY?: boolean
  columns?: number
  write: (text: string) => unknown
}

/** Milliseconds between two looks: often enough to seem live, or a line a second where lines stay. */
const LIVE_MS = 100
const PLAIN_MS = 1_000

/** The progress in one line. */
export function progressLine({ all, accepted, sent, ended, batches }: Figures): string {
  const figures = { accepted, sent, ended }
  const parts = Object.entries(figures).map(
    ([name, value]) => `${name} ${value.toLocaleString('en-US')}/${all.toLocaleString('en-US')}`,
  )
  return `  ${parts.join('  ')}  batches ${batches.toLocaleString('en-US')}`
}

/**
 * Shows progress: one updating line on a terminal, else a line a second. The returned function shows the
 * last state and ends it.
 */
export function showProgress(screen: Screen, read: () => Figures): () => void {
  const live = screen.isTTY === true
  const show = (): void => {
    const line = progressLine(read())
    screen.write(live ? `\r\u001B[2K${line.slice(0, (screen.columns ?? 80) - 1)}` : `${line}\n`)
  }
  const timer = setInterval(show, live ? LIVE_MS : PLAIN_MS)
  return () => {
    clearInterval(timer)
    show()
    if (live) screen.write('\n')
  }
}
