/*
 * The client: all that a program needs which writes through the service. It uses nothing but `fetch` and Web Crypto.
 */
export { createClient, type Client, type EnqueueOptions, type WriteCall } from './client.ts'
export { isWritebackError, WritebackError } from './errors.ts'
export type { FallbackOptions, FallbackWrite } from './fallback.ts'
export type { GroupListOptions, Groups } from './groups.ts'
export type { ListOptions, Operations } from './operations.ts'
export type { CallOptions, ClientOptions, RetryOptions } from './options.ts'
export type { RecordOutcome, WriteOutcome } from './outcome.ts'
export type * from './types.ts'
export {
  verifyWebhook,
  WebhookError,
  type DestinationTestEvent,
  type VerifyOptions,
  type WebhookEvent,
  type WebhookHeaders,
  type WriteDone,
  type WriteDoneDigest,
  type WriteDoneEvent,
} from './webhooks.ts'
export { hasEnded, type WaitOptions } from './wait.ts'
export type { ManyOptions, ManyResult } from './write-many.ts'
