import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { findTarget } from './destinations.ts'
import { postSigned, testBody } from './message.ts'
import type { Posted, Poster } from './post-message.ts'
import type { SecretCipher } from './secrets.ts'

/** What a receiver said to a test. */
export interface Tested extends Posted {
  /** The webhook-id that it was sent with. */
  id: string
  /** Milliseconds from the first byte out to the answer. */
  durationMs: number
}

/** What sending a test needs. */
export interface TestOptions {
  sql: Sql
  cipher: SecretCipher
  poster: Poster
  clock: Clock
}

/**
 * Sends a test event to a destination now, once, whether it is switched on or not. It is in no log and says
 * nothing of whether the destination works.
 *
 * @returns null when the project has no such destination
 */
export async function sendTest(
  { sql, cipher, poster, clock }: TestOptions,
  projectId: string,
  id: string,
): Promise<Tested | null> {
  const target = await findTarget(sql, projectId, id)
  if (target === null) return null
  const message = { id: newId(), body: testBody(projectId, target) }
  const begun = clock.monotonic()
  const posted = await postSigned({ poster, cipher, now: clock.now() }, target, message)
  return { id: message.id, ...posted, durationMs: Math.round(clock.monotonic() - begun) }
}
