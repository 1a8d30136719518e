import { Webhook } from 'standardwebhooks'
import type {
  DestinationTestEvent,
  WriteDone,
  WriteDoneDigest,
  WriteDoneEvent,
} from '../contract/notifications.ts'
import { messageOf } from '../kernel/errors.ts'
import type { DestinationTarget } from './destinations.ts'
import type { Posted, Poster } from './post-message.ts'
import { secretPurpose, type SecretCipher } from './secrets.ts'

/** A message as it is posted. Its id stays the same over its attempts. */
export interface Message {
  id: string
  body: string
}

/** An event as the outbox keeps it. */
export type StoredData = Omit<WriteDone, 'reference'> & { reference: string | null }

const toData = ({ reference, ...data }: StoredData): WriteDone => ({
  ...data,
  ...(reference !== null && { reference }),
})

/** The body of a message with these events; one that is no digest has one (contract section 7). */
export function bodyOf(events: StoredData[], isDigest: boolean): string {
  const data = events.map(toData)
  if (isDigest) return textOf({ notificationType: 'write.async.done.digest', data })
  if (data[0] === undefined) throw new TypeError('A message without an event says nothing.')
  return textOf({ notificationType: 'write.async.done', data: data[0] })
}

const textOf = (body: WriteDoneEvent | WriteDoneDigest | DestinationTestEvent): string => JSON.stringify(body)

/** The body of the message that only says that messages arrive. */
export const testBody = (projectId: string, { id, name }: Pick<DestinationTarget, 'id' | 'name'>): string =>
  textOf({
    notificationType: 'destination.test',
    data: { projectId, destinationId: id, destinationName: name },
  })

/**
 * Posts a message, signed as the Standard Webhooks specification says, with every secret that its receiver may
 * hold. Never rejects.
 *
 * @param now milliseconds: receivers refuse what was signed long before
 */
export async function postSigned(
  { poster, cipher, now }: { poster: Poster; cipher: SecretCipher; now: number },
  target: DestinationTarget,
  { id, body }: Message,
  signal?: AbortSignal,
): Promise<Posted> {
  let signatures: string[]
  try {
    signatures = signersOf(target, cipher).map((webhook) => webhook.sign(id, new Date(now), body))
  } catch (error) {
    const text = `The signing secret cannot be read: ${messageOf(error)}`
    return { status: null, body: '', error: text, retryAfterSeconds: null }
  }
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'writeback',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': signatures.join(' '),
  }
  return poster.post(target.url, headers, body, signal)
}

const signersOf = ({ id, secret, oldSecret }: DestinationTarget, cipher: SecretCipher): Webhook[] =>
  [secret, oldSecret].flatMap((one) =>
    one === null ? [] : new Webhook(cipher.decrypt(one, secretPurpose(id))),
  )
