import { addAssignmentRule } from './assignment-rules.ts'
import type { AssignmentRule, AssignmentRuleInput } from './assignment-rules.ts'
import type { Call } from './call.ts'
import { AuthorizationStore } from './authorization.ts'
import { addDuplicateRule } from './duplicate-rules.ts'
import type { DuplicateRuleInput } from './duplicate-rules.ts'
import { Faults } from './faults.ts'
import { QueryCursors } from './query.ts'
import { IdSource, normaliseId, toBase62 } from './ids.ts'
import { seededRandom } from './random.ts'
import { renderRecord } from './render-record.ts'
import type { RenderedRecord } from './render-record.ts'
import { RequestLog } from './request-log.ts'
import type { RequestEntry } from './request-log.ts'
import { RowLocks } from './row-locks.ts'
import { buildObject } from './schema.ts'
import type { FieldValue, ObjectDefinition, ObjectInput } from './schema.ts'
import { SessionStore } from './sessions.ts'
import type { ConnectedApp, OrgUser, Session } from './sessions.ts'
import { defaultSettings } from './settings.ts'
import type { Settings } from './settings.ts'
import { commonFields, commonRules, standardObjects } from './standard-objects.ts'
import { Table, Transaction } from './table.ts'
import { insertRecord } from './write-record.ts'
import type { RecordInput } from './validate-record.ts'

/** What an org is made of. */
export interface OrgOptions {
  seed: number
  apps: ConnectedApp[]
  settings: Partial<Settings>
}

/** The state of one simulated org. All of it lives in this process; `reset` makes it fresh again. */
export class Org {
  /** 18 characters. */
  readonly id: string
  /** Base of every call; undefined: the host that the caller used. */
  url: string | undefined
  settings: Settings
  /** Calls counted against the daily limit (facts 6). */
  apiUsed = 0
  ids: IdSource
  readonly sessions: SessionStore
  /** Who is on the login and consent pages, and the codes that came of them. */
  readonly authorizations: AuthorizationStore
  readonly faults: Faults
  readonly requests = new RequestLog()
  /** Rows held by requests in flight; only under the `lockParents` setting. */
  readonly locks = new RowLocks()
  /** Queries whose next pages may be asked for. */
  readonly cursors = new QueryCursors()
  /** When an object was last defined; describe answers 304 to callers who know that much. */
  schemaChangedAt = Date.now()
  readonly random: () => number
  readonly #options: OrgOptions
  readonly #objects: ObjectDefinition[] = []
  readonly #tables = new Map<string, Table>()
  readonly #tablesByPrefix = new Map<string, Table>()
  readonly #apps: Map<string, ConnectedApp>
  readonly #users = new Map<string, OrgUser>()
  #timeOffsetMs = 0

  constructor(options: OrgOptions) {
    this.#options = options
    this.settings = { ...defaultSettings, ...options.settings }
    this.ids = new IdSource(options.seed)
    this.id = new IdSource(options.seed).next('00D')
    this.random = seededRandom(options.seed)
    this.sessions = new SessionStore(this.id, seededRandom(options.seed + 1))
    this.authorizations = new AuthorizationStore(seededRandom(options.seed + 2))
    this.faults = new Faults(this.random)
    this.#apps = new Map(options.apps.map((app) => [app.clientId, app]))
    for (const object of standardObjects()) this.#define(object)
    this.#fillFresh()
  }

  /** The org's time in milliseconds. */
  now(): number {
    return Date.now() + this.#timeOffsetMs
  }

  /** Moves the org's time forward, so that a test can let sessions expire. */
  advanceTime(ms: number): void {
    this.#timeOffsetMs += ms
  }

  /** Defines a further object, with the common fields and rules of every object; replaces one of the same name. */
  defineObject(input: ObjectInput): ObjectDefinition {
    const own = new Set(input.fields.map((field) => field.name))
    const common = commonFields().filter((field) => !own.has(field.name))
    this.schemaChangedAt = this.now()
    return this.#define({
      ...input,
      fields: [...input.fields, ...common],
      validationRules: [...commonRules(), ...(input.validationRules ?? [])],
    })
  }

  /**
   * Defines a rule that sets a field of new Accounts, Cases or Leads unless `Sforce-Auto-Assign` says
   * otherwise (facts 5). Gone after `reset`.
   *
   * @throws {TypeError} saying what is wrong with it
   */
  defineAssignmentRule(input: AssignmentRuleInput): AssignmentRule {
    return addAssignmentRule(this, input)
  }

  /**
   * Defines a rule that refuses records like others that the org has (facts 5, 7.2). Gone after `reset`.
   * @throws {TypeError} saying what is wrong with it
   */
  defineDuplicateRule(input: DuplicateRuleInput): void {
    addDuplicateRule(this, input)
  }

  get objects(): readonly ObjectDefinition[] {
    return this.#objects
  }

  /** The table of an object, by its name in any case. */
  table(name: string): Table | undefined {
    return this.#tables.get(name) ?? this.#tables.get(name.toLowerCase())
  }

  /** The table that an id belongs to by its key prefix. */
  tableOfId(id: string): Table | undefined {
    return this.#tablesByPrefix.get(id.slice(0, 3))
  }

  app(clientId: string): ConnectedApp | undefined {
    return this.#apps.get(clientId)
  }

  user(username: string): OrgUser | undefined {
    return this.#users.get(username)
  }

  /** The owner of records that name none. */
  get defaultOwnerId(): string {
    return this.#users.values().next().value?.id ?? ''
  }

  mintSession(app: ConnectedApp, user: OrgUser, grant?: Parameters<SessionStore['mint']>[4]): Session {
    return this.sessions.mint(app, user, this.now(), this.settings.sessionSeconds * 1000, grant)
  }

  /** The url under which a caller reaches the org. */
  urlFor(call: Call): string {
    return this.url ?? `http://${call.header('host') ?? 'localhost'}`
  }

  /** Number of live records of an object. */
  count(object: string): number {
    return this.#mustHave(object).live.size
  }

  /** Number of live records by object, without users. */
  counts(): Record<string, number> {
    const writable = this.#objects.filter((object) => object.writable)
    return Object.fromEntries(writable.map((object) => [object.name, this.count(object.name)]))
  }

  /** Live records of an object as the API would show them, oldest first. */
  records(object: string, offset = 0, limit = Number.POSITIVE_INFINITY): RenderedRecord[] {
    const found: RenderedRecord[] = []
    let position = 0
    for (const record of this.#mustHave(object).live.values()) {
      if (position++ < offset) continue
      if (found.length >= limit) break
      found.push(renderRecord(record))
    }
    return found
  }

  /** The live record with an id of 15 or 18 characters. */
  record(id: string): RenderedRecord | undefined {
    const id18 = normaliseId(id) ?? ''
    const record = this.tableOfId(id18)?.live.get(id18)
    return record && renderRecord(record)
  }

  /** Live records whose field has a value, matched as the platform would; by an index where there is one. */
  find(object: string, field: string, value: FieldValue): RenderedRecord[] {
    const table = this.#mustHave(object)
    const index = table.indexes.get(field)
    if (index) return index.find(value).map((record) => renderRecord(record))
    return [...table.live.values()]
      .map((record) => renderRecord(record))
      .filter((record) => record[field] === value)
  }

  /**
   * Creates a record without a call, for setting up a test.
   * @throws {Error} with the record's errors when the org would refuse it
   */
  create(object: string, values: RecordInput): string {
    const result = insertRecord(this, new Transaction(), this.#mustHave(object), values)
    if (!result.success) throw new Error(JSON.stringify(result.errors))
    return result.id
  }

  /** Counts calls; false when the daily limit is already reached, and then nothing is counted. */
  countCalls(calls = 1): boolean {
    if (this.apiUsed >= this.settings.dailyApiLimit) return false
    this.apiUsed += calls
    return true
  }

  /** Calls back at the end of each request; the returned function stops it. */
  onRequest(listener: (entry: RequestEntry) => void): () => void {
    return this.requests.onRequest(listener)
  }

  /**
   * Waits until `n` finished requests match, those already in the log included.
   * @throws {Error} after `timeoutMs` (default 10 s)
   */
  waitForRequests(
    n: number,
    matches: (entry: RequestEntry) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<RequestEntry[]> {
    return this.requests.waitFor(n, matches, timeoutMs)
  }

  /** Back to a fresh org: no records, rules, sessions, faults, log; settings as at the start. Defined objects stay. */
  reset(): void {
    this.settings = { ...defaultSettings, ...this.#options.settings }
    this.apiUsed = 0
    this.ids = new IdSource(this.#options.seed)
    this.#timeOffsetMs = 0
    this.sessions.clear()
    this.authorizations.clear()
    this.faults.clear()
    this.requests.clear()
    this.cursors.clear()
    for (const object of this.#objects) this.#addTable(object)
    this.#fillFresh()
  }

  #define(input: ObjectInput): ObjectDefinition {
    const object = buildObject(input, input.keyPrefix ?? this.#freeKeyPrefix())
    const position = this.#objects.findIndex((other) => other.name === object.name)
    if (position >= 0) this.#objects.splice(position, 1)
    this.#objects.push(object)
    this.#addTable(object)
    return object
  }

  #addTable(object: ObjectDefinition): void {
    const table = new Table(object)
    this.#tables.set(object.name, table)
    this.#tables.set(object.name.toLowerCase(), table)
    this.#tablesByPrefix.set(object.keyPrefix, table)
  }

  #freeKeyPrefix(): string {
    let number = 0
    while (this.#tablesByPrefix.has(`a${toBase62(number, 2)}`)) number++
    return `a${toBase62(number, 2)}`
  }

  /** Users and the refresh tokens that exist from the start. */
  #fillFresh(): void {
    this.#users.clear()
    const users = this.#mustHave('User')
    const now = this.now()
    for (const app of this.#options.apps) {
      for (const username of [...(app.users ?? []), ...(app.runAs ? [app.runAs] : [])]) {
        if (this.#users.has(username)) continue
        const id = this.ids.next('005')
        this.#users.set(username, { id, username, active: true })
        const values = { Username: username, Email: username, IsActive: true }
        users.put({ id, object: users.object, values, createdAt: now, modifiedAt: now })
      }
      const user = this.#users.get(app.users?.[0] ?? '')
      if (user) for (const token of app.refreshTokens ?? []) this.sessions.authorize(app, user, token)
    }
  }

  #mustHave(name: string): Table {
    const table = this.table(name)
    if (!table) throw new Error(`the org has no object ${name}`)
    return table
  }
}
