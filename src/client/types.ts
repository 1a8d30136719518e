import type { BulkWrite } from '../contract/bulk.ts'
import type { OperationError } from '../contract/operation.ts'
import type { AutoBatchPolicy, WriteRequest } from '../contract/write.ts'
import type { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../contract/write-answers.ts'
import type { Static } from 'typebox'
import type { CallOptions } from './options.ts'

export type { Batch } from '../contract/batch.ts'
export type { BulkWrite } from '../contract/bulk.ts'
export type { Lane } from '../contract/lane.ts'
export type { Operation, OperationLog } from '../contract/operation.ts'
export type { Resolution } from '../contract/operate.ts'
export type { Problem } from '../contract/problem.ts'
export type { WriteRequest } from '../contract/write.ts'
export type { BatchAnswer, WriteAccepted, WriteFailed, WriteSucceeded } from '../contract/write-answers.ts'

/** One error of the provider. */
export type ProviderError = Static<typeof OperationError>

/** How a record is treated (contract section 5). */
export interface Treatment {
  /** Empty texts and nulls are left out. Default false: they are sent. */
  ignoreEmptyValues?: boolean
  /** Whether assignment rules run. Default: the provider's. */
  runAssignmentRules?: boolean
  /** Saves although a duplicate rule objects. Default false. */
  allowDuplicates?: boolean
  /** Updates the one record that a duplicate rule found instead. Default false. */
  forceUpdateOnCollision?: boolean
}

/** What writes of one record and of a batch have in common. */
export type WriteParts = Pick<
  WriteRequest,
  'groupRef' | 'type' | 'externalIdField' | 'headers' | 'reference' | 'variables' | 'associations'
> & { options?: Treatment }

/** A write of one record. */
export type RecordWrite = WriteParts & { record: Record<string, unknown> }

/** A write of up to 100 records that are one operation. */
export type BatchWrite = WriteParts &
  Required<Pick<WriteRequest, 'batch'>> &
  Pick<WriteRequest, 'batchPolicy'>

/** When and with what an asynchronous write leaves, and how long it is tried. */
export type Queueing = { mode: 'asynchronous' } & Pick<WriteRequest, 'retryPolicy'>

/** An asynchronous write. */
export type QueuedWrite = Queueing &
  ((RecordWrite & { autoBatchPolicy?: Static<typeof AutoBatchPolicy> }) | BatchWrite)

/** A write whose answer is its outcome: what is for the queue has no place in it. */
export interface Immediate {
  mode?: 'synchronous'
  autoBatchPolicy?: never
  retryPolicy?: never
}

/** Any write. */
export type AnyWrite = QueuedWrite | (RecordWrite & Immediate) | (BatchWrite & Immediate)

/** A write of `enqueue`: asynchronous, of one record. */
export type SingleWrite = RecordWrite & Pick<BulkWrite, 'mode' | 'autoBatchPolicy' | 'retryPolicy'>

/** A write of `writeMany`. */
export type ManyWrite = SingleWrite & Pick<BulkWrite, 'objectName' | 'idempotencyKey'>

/** Options of calls that write through an integration. */
export interface WriteOptions extends CallOptions {
  /** The integration, where it is not the client's. */
  integration?: string | undefined
  /**
   * Names the call, so that repeats write nothing more; a random one when absent. `null`: none, and the call is
   * repeated only when it certainly was not taken. Only a synchronous call without one is made while the
   * service's database is down (contract section 5).
   */
  idempotencyKey?: string | null | undefined
}

/** What an answer says besides its body. */
export interface AnswerFacts {
  /** Set when it is the answer of an earlier call with the same idempotency key. */
  replayed?: true
  /** Set when nothing is recorded of a synchronous write, the database being down: there is no operation to follow. */
  unrecorded?: true
}

/** What an accepted write is told. */
export type Accepted = WriteAccepted & AnswerFacts

/** The outcome of a synchronous write of one record: `result.success` tells which. */
export type RecordAnswer = (WriteSucceeded | WriteFailed) & AnswerFacts

/** The outcome of a synchronous write of a batch. */
export type BatchOutcome = BatchAnswer & AnswerFacts
