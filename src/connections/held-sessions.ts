import type { Session } from '../model/credentials.ts'

/** A session and its number; the number says which one was refused when a new one is asked for. */
export interface OpenSession {
  session: Session
  version: number
}

/** Keeps a map within its bound by dropping what was put in first. */
export function dropOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

/**
 * The sessions in a process's memory. After a time in which changes may have been missed they are in
 * question, but are not gone: with the database down again, they are what synchronous calls go through with.
 */
export class HeldSessions {
  readonly #max: number
  readonly #held = new Map<string, { open: OpenSession; era: number }>()
  /** Counts the times in which changes may have been missed. */
  #era = 0
  /** Counts what was dropped or put in question, so that a load that began before is not kept after. */
  #changes = 0

  constructor(max: number) {
    this.#max = max
  }

  /** To be read before a session is loaded, see {@link HeldSessions.keep}. */
  get changes(): number {
    return this.#changes
  }

  /** A connection's session, in question or not. */
  get(id: string): OpenSession | undefined {
    return this.#held.get(id)?.open
  }

  /** Whether a held session may have been replaced or ended without word of it. */
  isInQuestion(id: string): boolean {
    const held = this.#held.get(id)
    return held !== undefined && held.era !== this.#era
  }

  /** Keeps a session, unless something changed since `changes` was read; returns the newest one known. */
  keep(id: string, open: OpenSession, changes: number): OpenSession {
    const held = this.#held.get(id)
    if (held !== undefined && held.open.version > open.version) return held.open
    if (changes !== this.#changes) return open
    this.#held.set(id, { open, era: this.#era })
    dropOldest(this.#held, this.#max)
    return open
  }

  /** It is no good any more, be it refused or its connection broken. */
  drop(id: string): void {
    this.#held.delete(id)
  }

  /** Its connection was changed. */
  dropChanged(id: string): void {
    this.#changes++
    this.#held.delete(id)
  }

  /** Changes may have been missed. */
  questionAll(): void {
    this.#changes++
    this.#era++
  }
}
