/** What a request, or one subrequest of a composite call, was about. */
export interface CallSummary {
  readonly operation: string
  /** Objects written or read; several for a mixed collections call. */
  readonly objects: string[]
  readonly allOrNone?: boolean
  readonly recordCount: number
  /** What the caller named the records by: ids (18 characters) of an update or delete, values of an upsert. */
  readonly keys: string[]
  /** Its Sforce-* and x-sfdc-* headers, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>
}

/** One request as it was seen from the org. */
export interface RequestEntry extends CallSummary {
  readonly seq: number
  /** Milliseconds since the epoch, with fractions. */
  readonly startMs: number
  /** When the answer left, or when it was decided that none would. */
  endMs?: number
  readonly method: string
  readonly path: string
  /** Of a composite call: its subrequests, in order, with the headers of each. */
  readonly parts?: readonly CallSummary[]
  /** Ids in the answer, by position; null where the item has none. */
  ids: (string | null)[]
  /** Absent while the request runs, and when no status was ever sent. */
  status?: number
  /** Whether the caller never got a whole answer. */
  dropped: boolean
  /** Kinds of the faults that struck it. */
  faults: string[]
  /** Calls that it was charged against the daily limit (facts 6). */
  apiCalls: number
}

/** What is known of a request when it starts. */
export type RequestStart = Omit<RequestEntry, 'seq' | 'startMs' | 'ids' | 'dropped' | 'faults' | 'apiCalls'>

/** Counts since the start or the last reset. */
export interface RequestTotals {
  total: number
  dropped: number
  inFlight: number
  maxInFlight: number
  byOperation: Record<string, number>
  byStatus: Record<string, number>
  /** Calls charged against the daily limit: one for a composite call, none for tokens (facts 6). */
  apiCalls: number
  /** Per collections operation: number of groups by number of records, those inside composite calls included. */
  bySize: Record<string, Record<string, number>>
}

interface Waiter {
  matches: (entry: RequestEntry) => boolean
  count: number
  resolve: (entries: RequestEntry[]) => void
}

const emptyTotals = (): RequestTotals => ({
  total: 0,
  dropped: 0,
  inFlight: 0,
  maxInFlight: 0,
  byOperation: {},
  byStatus: {},
  apiCalls: 0,
  bySize: {},
})

const nowMs = (): number => performance.timeOrigin + performance.now()

/** The last requests in a bounded ring, and totals over all of them. Admin calls are not in it. */
export class RequestLog {
  readonly #capacity: number
  #ring: RequestEntry[] = []
  #seq = 0
  #totals = emptyTotals()
  readonly #listeners = new Set<(entry: RequestEntry) => void>()
  #waiters: Waiter[] = []

  constructor(capacity = 10_000) {
    this.#capacity = capacity
  }

  /** Opens an entry; it is in the log from now on, without an end. */
  start(request: RequestStart): RequestEntry {
    const entry: RequestEntry = {
      seq: ++this.#seq,
      startMs: nowMs(),
      ...request,
      ids: [],
      dropped: false,
      faults: [],
      apiCalls: 0,
    }
    this.#ring.push(entry)
    // Cut rarely and in bulk: shifting an array on each request would cost more than the request.
    if (this.#ring.length > this.#capacity * 2) this.#ring = this.#ring.slice(-this.#capacity)
    this.#totals.total++
    this.#totals.inFlight++
    this.#totals.maxInFlight = Math.max(this.#totals.maxInFlight, this.#totals.inFlight)
    count(this.#totals.byOperation, entry.operation)
    for (const { operation, recordCount } of entry.parts ?? [entry]) {
      if (!operation.startsWith('collections.')) continue
      count((this.#totals.bySize[operation] ??= {}), String(recordCount))
    }
    return entry
  }

  /** Notes the calls that an entry was charged. */
  charge(entry: RequestEntry, calls: number): void {
    entry.apiCalls += calls
    this.#totals.apiCalls += calls
  }

  /** Closes an entry and tells whoever waits. */
  finish(entry: RequestEntry): void {
    if (entry.endMs !== undefined) return
    entry.endMs = nowMs()
    this.#totals.inFlight--
    if (entry.dropped) this.#totals.dropped++
    if (entry.status !== undefined) count(this.#totals.byStatus, String(entry.status))
    for (const listener of this.#listeners) listener(entry)
    for (const waiter of [...this.#waiters]) if (waiter.matches(entry)) this.#settle(waiter)
  }

  /** The entries in order, those still running included; the last ones when there were more than fit. */
  list(matches: (entry: RequestEntry) => boolean = () => true): RequestEntry[] {
    return this.#ring.slice(-this.#capacity).filter(matches)
  }

  get totals(): RequestTotals {
    return this.#totals
  }

  /** Calls back at the end of each request; the returned function stops it. */
  onRequest(listener: (entry: RequestEntry) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Waits until the log holds `n` finished requests that match, past ones included.
   * @throws {Error} after `timeoutMs`, saying how many there were
   */
  waitFor(n: number, matches: (entry: RequestEntry) => boolean, timeoutMs: number): Promise<RequestEntry[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        const seen = this.list((entry) => entry.endMs !== undefined && matches(entry)).length
        reject(new Error(`waited ${timeoutMs} ms for ${n} requests, saw ${seen}`))
      }, timeoutMs)
      const waiter: Waiter = {
        matches,
        count: n,
        resolve: (entries) => {
          clearTimeout(timer)
          resolve(entries)
        },
      }
      this.#waiters.push(waiter)
      this.#settle(waiter)
    })
  }

  clear(): void {
    this.#ring = []
    this.#totals = { ...emptyTotals(), inFlight: this.#totals.inFlight }
  }

  #settle(waiter: Waiter): void {
    const entries = this.list((entry) => entry.endMs !== undefined && waiter.matches(entry))
    if (entries.length < waiter.count) return
    this.#waiters = this.#waiters.filter((other) => other !== waiter)
    waiter.resolve(entries)
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}
