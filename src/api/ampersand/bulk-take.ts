import type { ValidateFunction } from 'ajv'
import type { FastifyRequest } from 'fastify'
import { WritebackError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import { acceptWrite, type Submission } from '../../ingest/accept.ts'
import { refuse, type Examined } from '../../ingest/examine.ts'
import { hashRequest, type Idempotency, type RequestKey } from '../../ingest/idempotency.ts'
import type { Accepted } from '../../ingest/ingest.ts'
import type { TargetInstallation, WriteBody } from '../../ingest/write-body.ts'
import { integrationOf, projectOf } from '../auth.ts'
import { problemOf, statusOf } from '../error-handler.ts'
import type { Answers, Slot } from './bulk-answers.ts'
import type { Item } from './bulk-items.ts'
import type { BulkRoom } from './bulk-room.ts'
import { findAccepted, underKey } from './keyed-write.ts'
import { findInstallation } from './make-write.ts'
import { readWriteBody } from './write-request.ts'

/** What bulk calls need of the floors below. */
export interface BulkPort {
  /** Refuses while too much is queued. */
  checkRoom: () => void
  /** Resolves once all of the submission, or the call that it repeats, is committed. */
  submit: (submission: Submission) => Promise<Accepted>
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
  idempotency: Pick<Idempotency, 'findOperation'>
  /** The time of day, in milliseconds. */
  now: () => number
  /** Whether the process is about to end: what comes now would not be answered any more. */
  isEnding: () => boolean
  logger: Logger
}

/** What writes are taken with. */
export interface TakeOptions {
  port: BulkPort
  /** The schema of a write of a bulk call. */
  validate: ValidateFunction
  request: FastifyRequest
  answers: Answers
  room: BulkRoom
}

/** Takes the writes of one call, in their order. */
export interface Taker {
  /** Takes a write and answers it in time; the promise, where there is one, is to be awaited before the next. */
  take: (item: Item, slot: Slot) => Promise<void> | undefined
  /** Looks installations up anew: their configuration may have changed. */
  renew: () => void
  /** Writes that are not answered yet. */
  readonly inWork: number
  /** What failed through no fault of the caller's, and how often. */
  readonly failures: { first: unknown; count: number }
}

/** A write without issues of its own. */
interface ReadWrite {
  body: WriteBody & { groupRef: string }
  examined: Examined
  objectName: string
  key: RequestKey | null
}

type Found = { installation: TargetInstallation } | { error: unknown }

const ending = (): WritebackError =>
  new WritebackError('SHUTTING_DOWN', 'The process is stopping; nothing was written.', {
    retryAfter: 1,
    remedy: 'Send the write again.',
  })

const hasKey = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, 'idempotencyKey')

/** Takes the writes of one call. */
export function createTaker({ port, validate, request, answers, room }: TakeOptions): Taker {
  const { validation, toError } = request.server
  const projectId = projectOf(request).id
  const integrationId = integrationOf(request).id
  const installations = new Map<string, Found>()
  const failures = { first: undefined as unknown, count: 0 }
  let inWork = 0

  const settle = (slot: Slot, bytes: number, result: string): void => {
    inWork -= 1
    room.leave(bytes)
    answers.settle(slot, result)
  }
  const settleRefused = (slot: Slot, bytes: number, thrown: unknown): void => {
    const error = toError(thrown)
    if ((error.status ?? statusOf(error.code)) >= 500) {
      if (failures.count === 0) failures.first = thrown
      failures.count += 1
    }
    settle(slot, bytes, JSON.stringify({ problem: problemOf(error, request.id, port.now()) }))
  }
  const settleBy = (slot: Slot, bytes: number, accepted: Promise<Accepted>): void => {
    accepted.then(
      ({ operationId }) => settle(slot, bytes, `{"operationId":"${operationId}"}`),
      (error: unknown) => settleRefused(slot, bytes, error),
    )
  }

  /** @throws {WritebackError} INVALID_REQUEST with every issue */
  function readWrite(value: unknown): ReadWrite {
    const found = validate(value) ? [] : (validation.toError(validate.errors, 'body').issues ?? [])
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(found)
    const { objectName, idempotencyKey, ...single } = value as Record<string, unknown>
    // The single call's body, so that a key means the same with either call.
    const given = { ...single, mode: 'asynchronous' }
    const { examined, issues } = readWriteBody(given, found)
    if (issues.length > 0) refuse(issues)
    const write = { body: given as ReadWrite['body'], examined, objectName: objectName as string }
    if (idempotencyKey === undefined) return { ...write, key: null }
    const requestHash = hashRequest({ integrationId, objectName: write.objectName, body: given })
    return { ...write, key: { text: idempotencyKey as string, requestHash } }
  }

  function submit(
    { body, examined, objectName, key }: ReadWrite,
    slot: Slot,
    bytes: number,
    found: Found,
  ): void {
    let submission: Submission
    try {
      if (key !== null) port.checkRoom()
      if ('error' in found) throw found.error
      submission = acceptWrite(body, examined, objectName, found.installation, '/objectName')
    } catch (error) {
      // What was accepted once is answered again whatever the installation has come to.
      if (key === null) settleRefused(slot, bytes, error)
      else settleBy(slot, bytes, findAccepted(port.idempotency, { projectId, key }, error))
      return
    }
    settleBy(slot, bytes, port.submit(key === null ? submission : underKey(submission, key)))
  }

  async function find(groupRef: string): Promise<Found> {
    const found = await findInstallation(port, integrationId, groupRef).then(
      (installation) => ({ installation }),
      (error: unknown) => ({ error }),
    )
    installations.set(groupRef, found)
    return found
  }

  return {
    take: (item, slot) => {
      const { bytes } = item
      inWork += 1
      room.enter(bytes)
      let write: ReadWrite
      try {
        if (port.isEnding()) throw ending()
        const value = item.read()
        // What was accepted once is answered again, however much is queued by now: its key is asked first.
        if (!hasKey(value)) port.checkRoom()
        write = readWrite(value)
      } catch (error) {
        settleRefused(slot, bytes, error)
        return undefined
      }
      const known = installations.get(write.body.groupRef)
      if (known === undefined)
        return find(write.body.groupRef).then((found) => submit(write, slot, bytes, found))
      submit(write, slot, bytes, known)
      return undefined
    },
    renew: () => installations.clear(),
    get inWork() {
      return inWork
    },
    failures,
  }
}
