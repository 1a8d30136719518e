import type { RecordError } from './api-error.ts'
import { cannedAnswers, cannedRecordErrors } from './canned-answers.ts'
import type { CannedAnswer, CannedRecordErrorName } from './canned-answers.ts'

/** Which requests a fault strikes; every condition given must hold. */
export interface FaultMatch {
  method?: string
  pathContains?: string
  /** `collections.create`, or a whole family such as `collections`; a composite call also has its subrequests' kinds. */
  operation?: string
  /** An object that the request writes or reads. */
  object?: string
  /** A record of the request with this value; without `value`, with any value of that field. */
  recordMatches?: { field: string; value?: unknown }
  /**
   * A request with more records than this, so that smaller ones pass. For record errors the collections
   * group counts, for the rest all groups of a composite call together.
   */
  moreThan?: number
}

/** What a fault does. `when` says whether the request is executed first; default `before`, it is not. */
export type FaultAction =
  | { type: 'status'; canned: CannedAnswer; when?: 'before' | 'after' }
  | {
      type: 'status'
      status: number
      body?: unknown
      headers?: Record<string, string>
      when?: 'before' | 'after'
    }
  /**
   * Fails matching records. `everyRecord` fails all records of a collections call when one matches;
   * default false, or what is usual for the canned error. `times` counts records, or calls under `everyRecord`.
   */
  | { type: 'recordError'; statusCode: string; message: string; fields?: string[]; everyRecord?: boolean }
  | { type: 'recordError'; canned: CannedRecordErrorName; fields?: string[]; everyRecord?: boolean }
  /** Ends the connection before anything is executed. */
  | { type: 'dropBefore' }
  /** Commits, then ends the connection without an answer. */
  | { type: 'dropAfter' }
  /** Commits, sends the headers and half of the body, and ends the connection. */
  | { type: 'cutAnswer' }
  /** Never answers, and keeps the connection open. */
  | { type: 'hang'; when?: 'before' | 'after' }
  | { type: 'delay'; ms: number; when?: 'before' | 'after' }
  | { type: 'redirect'; location: string }
  | { type: 'html200' }
  /** Ends all sessions just before this request is looked at. */
  | { type: 'expireSessions' }
  /** Refuses at the token endpoint; applies nowhere else. */
  | { type: 'invalidGrant'; description?: string }
  /** Commits, and leaves one item out of the answer's array: the last, or the one at `index`. */
  | { type: 'forgetRecord'; index?: number }
  /** Commits, and leaves one subrequest out of a composite answer: the last, or the one at `index`. */
  | { type: 'forgetPart'; index?: number }
  /** Commits, and answers 200 with JSON of another shape. */
  | { type: 'wrongShape'; body?: unknown }
  /** Answers 400 instead of 200 when every item failed (facts 3.1); not spent by other answers. */
  | { type: 'allFailed400' }

/** A fault to be added. */
export interface Fault {
  id?: string
  match?: FaultMatch
  /** How often it strikes; default 1, and 0 or less: until it is removed. */
  times?: number
  /** Chance that it strikes a request that matches, by the seeded generator; default 1. */
  probability?: number
  action: FaultAction
}

/** What matching looks at. */
export interface FaultTarget {
  method: string
  path: string
  operations: string[]
  objects: string[]
  records: readonly unknown[]
  /** Number of records of the whole call. */
  size: number
}

/** A place where requests wait until a test lets them go. */
export interface Gate {
  /** Resolves when the first matching request is held. */
  readonly arrived: Promise<void>
  /** Requests held so far. */
  readonly arrivals: number
  /** Resolves when `n` requests have arrived in all. */
  waitForArrivals(n: number): Promise<void>
  /** Lets all of them go; later ones pass. */
  release(): void
}

interface HeldGate extends Gate {
  match: FaultMatch
  when: 'before' | 'after'
  hold(): Promise<void>
}

type ActiveFault = Fault & { id: string; struck: number }

/** What is to happen to one request. */
export interface FaultPlan {
  actions: FaultAction[]
  gates: { when: 'before' | 'after'; hold(): Promise<void> }[]
}

/** Actions that decide the answer: a request gets at most one of them, and the others stay for the next. */
const deciding = new Set<FaultAction['type']>([
  'status',
  'dropBefore',
  'dropAfter',
  'cutAnswer',
  'hang',
  'redirect',
  'html200',
  'invalidGrant',
  'forgetRecord',
  'forgetPart',
  'wrongShape',
])

/** The faults and gates of an org. */
export class Faults {
  readonly #random: () => number
  #faults: ActiveFault[] = []
  #gates: HeldGate[] = []
  #nextId = 1

  constructor(random: () => number) {
    this.#random = random
  }

  /** Adds a fault and returns its id. */
  add(fault: Fault): string {
    const id = fault.id ?? `fault-${this.#nextId++}`
    this.#faults.push({ ...fault, id, struck: 0 })
    return id
  }

  remove(id: string): boolean {
    const before = this.#faults.length
    this.#faults = this.#faults.filter((fault) => fault.id !== id)
    return this.#faults.length < before
  }

  /** The faults that can still strike, with how often each did. */
  list(): readonly ActiveFault[] {
    return this.#faults
  }

  /** Removes all faults and opens all gates. */
  clear(): void {
    this.#faults = []
    for (const gate of this.#gates) gate.release()
  }

  /** Holds every matching request, before or after it is executed, until the gate is released. */
  hold(match: FaultMatch = {}, when: 'before' | 'after' = 'before'): Gate {
    const gate = makeGate(match, when, () => {
      this.#gates = this.#gates.filter((other) => other !== gate)
    })
    this.#gates.push(gate)
    return gate
  }

  /** The faults that strike a request; they are spent by it. */
  plan(target: FaultTarget): FaultPlan {
    if (this.#faults.length === 0 && this.#gates.length === 0) return noFaults
    const actions: FaultAction[] = []
    let decided = false
    for (const fault of [...this.#faults]) {
      const { action } = fault
      if (action.type === 'recordError' || (decided && deciding.has(action.type))) continue
      if (action.type === 'invalidGrant' && !target.operations.includes('token')) continue
      if (!matches(fault.match, target) || !this.#strikes(fault)) continue
      // Spent only where it shows: see spendAllFailed400.
      if (action.type !== 'allFailed400') this.#spend(fault)
      actions.push(action)
      decided ||= deciding.has(action.type)
    }
    const gates = this.#gates.filter((gate) => matches(gate.match, target))
    return { actions, gates }
  }

  /** Marks an `allFailed400` action of a plan as having shown. */
  spendAllFailed400(action: FaultAction): void {
    const fault = this.#faults.find((other) => other.action === action)
    if (fault) this.#spend(fault)
  }

  /** Whether any fault is about records; lets the common case skip looking at each. */
  get anyForRecords(): boolean {
    return this.#faults.some((fault) => fault.action.type === 'recordError')
  }

  /**
   * The error that a fault gives one record, or undefined.
   * @param whole ask for faults that fail the whole request, or for those of single records
   */
  recordError(target: FaultTarget, whole: boolean): RecordError | undefined {
    for (const fault of this.#faults) {
      const { action } = fault
      if (action.type !== 'recordError') continue
      const error = 'canned' in action ? cannedRecordErrors[action.canned] : action
      if ((action.everyRecord ?? error.everyRecord ?? false) !== whole) continue
      if (!matches(fault.match, target) || !this.#strikes(fault)) continue
      this.#spend(fault)
      return { statusCode: error.statusCode, message: error.message, fields: action.fields ?? [] }
    }
    return undefined
  }

  #strikes(fault: ActiveFault): boolean {
    return fault.probability === undefined || this.#random() < fault.probability
  }

  #spend(fault: ActiveFault): void {
    fault.struck++
    const times = fault.times ?? 1
    if (times > 0 && fault.struck >= times) this.remove(fault.id)
  }
}

const noFaults: FaultPlan = { actions: [], gates: [] }

function matches(match: FaultMatch | undefined, target: FaultTarget): boolean {
  if (!match) return true
  const { method, pathContains, operation, object, recordMatches, moreThan } = match
  if (moreThan !== undefined && target.size <= moreThan) return false
  if (method !== undefined && method.toUpperCase() !== target.method) return false
  if (pathContains !== undefined && !target.path.includes(pathContains)) return false
  if (
    operation !== undefined &&
    !target.operations.some((kind) => kind === operation || kind.startsWith(`${operation}.`))
  ) {
    return false
  }
  if (object !== undefined && !target.objects.some((name) => name.toLowerCase() === object.toLowerCase()))
    return false
  return recordMatches === undefined || target.records.some((record) => hasValue(record, recordMatches))
}

function hasValue(record: unknown, wanted: { field: string; value?: unknown }): boolean {
  if (typeof record !== 'object' || record === null) return false
  const name = wanted.field.toLowerCase()
  const entry = Object.entries(record).find(([key]) => key.toLowerCase() === name)
  if (!entry) return false
  return wanted.value === undefined || textOf(entry[1]) === textOf(wanted.value)
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function makeGate(match: FaultMatch, when: 'before' | 'after', onRelease: () => void): HeldGate {
  let arrivals = 0
  const waiting: { n: number; resolve: () => void }[] = []
  const released = Promise.withResolvers<undefined>()
  const waitForArrivals = (n: number): Promise<void> =>
    new Promise((resolve) => {
      if (arrivals >= n) resolve()
      else waiting.push({ n, resolve })
    })
  return {
    match,
    when,
    arrived: waitForArrivals(1),
    waitForArrivals,
    get arrivals() {
      return arrivals
    },
    hold: async () => {
      arrivals++
      for (const waiter of waiting) if (arrivals >= waiter.n) waiter.resolve()
      await released.promise
    },
    release: () => {
      released.resolve(undefined)
      onRelease()
    },
  }
}

/** What an action cannot do without, by type, with the kind of value; a canned answer stands for a status. */
const needs: Partial<Record<FaultAction['type'], Record<string, 'string' | 'number'>>> = {
  status: { status: 'number' },
  recordError: { statusCode: 'string', message: 'string' },
  delay: { ms: 'number' },
  redirect: { location: 'string' },
}

/** The types of {@link FaultAction}. */
export const faultActionTypes: ReadonlySet<string> = new Set<FaultAction['type']>([
  ...deciding,
  'recordError',
  'delay',
  'expireSessions',
  'allFailed400',
])

/**
 * Reads a fault from JSON.
 * @throws {TypeError} saying what is wrong
 */
export function readFault(input: unknown): Fault {
  const fault = input as Partial<Fault> | null
  const action = fault?.action
  if (typeof action?.type !== 'string') throw new TypeError('a fault needs action.type')
  if (!faultActionTypes.has(action.type)) throw new TypeError(`unknown action ${action.type}`)
  if ('canned' in action) {
    const known = Object.keys(action.type === 'status' ? cannedAnswers : cannedRecordErrors)
    if (known.includes(action.canned)) return { ...fault, action }
    throw new TypeError(`unknown canned answer; known: ${known.join(', ')}`)
  }
  for (const [name, kind] of Object.entries(needs[action.type] ?? {})) {
    const value = (action as unknown as Record<string, unknown>)[name]
    if (typeof value !== kind) throw new TypeError(`action ${action.type} needs ${name}, a ${kind}`)
  }
  return { ...fault, action }
}
