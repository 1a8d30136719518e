import type { WriteType } from './write.ts'

/** The status of an operation (contract section 7). */
export type OperationStatus = 'in_progress' | 'success' | 'failure'

/** Which operations of an installation are listed. */
export interface OperationFilter {
  /** Null for all. */
  status: OperationStatus | null
  /** The object as the caller named it; null for all. */
  objectName: string | null
  /** Null for all, with and without a reference. */
  reference: string | null
  /** Only what somebody moved by hand after this time; null for all. Comes with no other filter. */
  movedAfter: Date | null
}

/** Which part of a list is read. */
export interface ListPage {
  /** The most entries to find. */
  size: number
  /** Find entries older than the one of this id; null begins with the newest. */
  after: string | null
}

/** Operations of a page, newest first. */
export interface FoundOperations {
  ids: string[]
  /** The id to go on after; null when nothing follows. */
  next: string | null
}

/** One group as it was sent. */
export interface BatchView {
  id: string
  /** The provider call that carried it; groups packed into one call share it. */
  callId: string
  /** The operations of its members, in the order of the group. */
  operationIds: string[]
  allOrNone: boolean
  /** The how-manieth try it was for the member that was tried most. */
  attempt: number
  /** When its call went out; null before that, and of a group that never left. */
  startedAt: Date | null
  endedAt: Date | null
  providerStatus: number | null
  successCount: number | null
  failureCount: number | null
}

/** What waits to leave together. */
export interface LaneView {
  id: string
  objectName: string
  type: WriteType
  externalIdField: string | null
  allOrNone: boolean
  /** Queued writes in it; those behind an earlier write to their record are not counted. */
  waiting: number
  /** When the oldest of them was accepted; null when nothing waits. */
  oldestAt: Date | null
  /** When it is looked at next; null when nothing waits. */
  dueAt: Date | null
  /** Why it was put off: connection, session, quota, limit, concurrency or parent; null when it was not. */
  heldBy: string | null
}
