import type { ApiUsage, CallAnswer } from '../model/outcome.ts'
import type { Credentials, MintedSession, Session } from '../model/credentials.ts'
import type { WriteType } from '../model/write.ts'

/** A group as it goes to the provider: records of one object, type and external-id field, in order. */
export interface ProviderGroup {
  objectName: string
  type: WriteType
  /** Set for upserts only. */
  externalIdField: string | null
  allOrNone: boolean
  /** Write headers of the call (facts 5). */
  headers: { key: string; value: string }[]
  /**
   * One JSON object text per record: the provider's field names and values, without `attributes`,
   * with `id` first for an update, and with `id` alone for a delete. Texts go into the body as they are, so no JSON is parsed twice.
   */
  records: string[]
}

/** What came of one call, or of the several that it took. */
export interface SentCall {
  /** One for each group, by position. */
  answers: CallAnswer[]
  /** API calls made. */
  calls: number
}

/** Which of some records' fields have a value already. */
export interface FieldRead {
  objectName: string
  /** The external-id field that `keys` are values of; null when they are record ids. */
  keyField: string | null
  keys: string[]
  fields: string[]
}

/** By the position of the key: the fields that have a value, or null when there is no such record. */
export type FieldsRead =
  { kind: 'read'; filled: (ReadonlySet<string> | null)[] } | Exclude<CallAnswer, { kind: 'answered' }>

/** A record whose lost answer is to be settled by finding it. */
export interface SoughtRecord {
  /** As it was sent. */
  text: string
  /** When it was sent first, in milliseconds by this process's clock: what was there before is another. */
  since: number
  /** Ids of records that are known to be others, whatever they carry. */
  others: readonly string[]
}

/** Records of one object that are looked for together. */
export interface LookUp {
  objectName: string
  records: SoughtRecord[]
}

/**
 * The one record that is there, with the provider's own word of it; null when none is; `other` when all that
 * are there are others.
 */
export type Match = { id: string; raw: unknown } | null | 'other' | 'unclear'

/** By the position of the record: what is there of it. */
export type LookedUp =
  | { kind: 'found'; matches: Match[]; usage: ApiUsage | null }
  | Exclude<CallAnswer, { kind: 'answered' | 'lost' }>

/** Limits of one call. */
export interface CallOptions {
  /** Milliseconds until the call is given up and answered as `lost`. */
  timeoutMs: number
  /** Aborts the call, which is then answered as `lost`, or as `not_sent` when nothing had left. */
  signal?: AbortSignal
}

/** What went wrong at the login host. Thrown by {@link Provider.openSession}; its message holds no secret. */
export class SessionError extends Error {
  /** `permanent`: needs new credentials; `transient`: try again later; `ambiguous`: the answer was lost. */
  readonly kind: 'permanent' | 'transient' | 'ambiguous'
  /** The login host's own error code (`invalid_grant` …) or a transport code. */
  readonly code: string
  constructor(kind: SessionError['kind'], code: string, message: string) {
    super(message)
    this.name = 'SessionError'
    this.kind = kind
    this.code = code
  }
}

/**
 * What the batcher needs of a CRM. A provider never touches the database: sessions and decrypted
 * credentials arrive as arguments, a rotated refresh token leaves in the minted session.
 */
export interface Provider {
  readonly name: string
  /**
   * Mints a session from credentials. `access-token` credentials are a session already.
   * @throws {SessionError}
   */
  openSession(credentials: Credentials, options: CallOptions): Promise<MintedSession>
  /**
   * Sends groups in as few provider calls as they take, up to `MAX_PACKED` in each; where the org does not
   * take them together, one after the other. Never throws: every way a group can end is a {@link CallAnswer}.
   */
  sendGroups(session: Session, groups: ProviderGroup[], options: CallOptions): Promise<SentCall>
  /**
   * Sends one record of a group, a create or an upsert that a duplicate rule refused, on its own to learn
   * what it collides with; when that is exactly one record, updates that one instead (contract section 5,
   * `forceUpdateOnCollision`). The answer is of that one record. Never throws.
   */
  updateCollision(
    session: Session,
    group: ProviderGroup,
    position: number,
    options: CallOptions,
  ): Promise<{ answer: CallAnswer; calls: number }>
  /** Reads which fields have a value. Nothing is written whatever comes of it. Never throws. */
  readFields(
    session: Session,
    read: FieldRead,
    options: CallOptions,
  ): Promise<{ answer: FieldsRead; calls: number }>
  /** Looks for records by the keys that they carry. Nothing is written whatever comes of it. Never throws. */
  lookUp(session: Session, lookUp: LookUp, options: CallOptions): Promise<{ answer: LookedUp; calls: number }>
  /** Ends idle sockets; the provider is not used afterwards. */
  close(): Promise<void>
}
