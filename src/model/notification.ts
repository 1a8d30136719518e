import type { ProviderError } from './outcome.ts'

/** The channel on which the outbox says that there is something new in it, by the destination's id. A hint. */
export const NOTIFICATION_CHANNEL = 'writeback_notification'

/** What is told of an operation that has ended (contract section 7), as it was when it ended. */
export interface OutcomeData {
  projectId: string
  provider: string
  integrationId: string
  integrationName: string
  installationId: string
  connectionId: string
  groupRef: string
  /** As the caller named it. */
  objectName: string
  /** Whether any record was written: the operation's `status`. */
  success: boolean
  successfulRecordIds: string[]
  /** Of all the records that were not written, in the caller's order. */
  errors: ProviderError[]
  operationId: string
  reference?: string
}
