import type { CallSettings, ConfiguredObject } from '../model/object-entry.ts'
import type { JsonObject } from './rules/json-values.ts'
import type { RecordType } from './provider-record.ts'

/** One record of a caller-built batch. */
export interface BatchEntry {
  record: JsonObject
  associations?: unknown
}

/** The write call's body, as far as its schema vouches for it. */
export interface WriteBody {
  type: RecordType
  /** Default `synchronous`. */
  mode?: 'synchronous' | 'asynchronous'
  record?: JsonObject
  /** Entries that are not of the right kind, of which the schema tells, are null. */
  batch?: (BatchEntry | null)[]
  batchPolicy?: { allOrNone?: boolean }
  autoBatchPolicy?: {
    maxDelayMinutes?: number
    maxDelaySeconds?: number
    retryDeadlineHours?: number
    maxRecords?: number
    allOrNone?: boolean
    onRollback?: 'fail' | 'resend'
    merge?: boolean
  }
  retryPolicy?: { deadlineHours?: number }
  externalIdField?: string
  headers?: unknown
  associations?: unknown
  options?: unknown
  variables?: unknown
  reference?: string
}

/** Whether the caller waits for the outcome. */
export const isSynchronous = (body: Pick<WriteBody, 'mode'>): boolean => body.mode !== 'asynchronous'

/** The installation that a write is for. */
export interface TargetInstallation {
  id: string
  projectId: string
  integrationId: string
  configId: string
  /** Objects that may be written, by name, with the provider's name; null when every one may. */
  objects: ReadonlyMap<string, ConfiguredObject> | null
  calls: CallSettings
}
