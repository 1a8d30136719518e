import { randomBytes } from 'node:crypto'

/** Encrypts small texts for a purpose, and opens them for that purpose only. */
export interface SecretCipher {
  encrypt(text: string, purpose: string): Buffer
  /** @throws {Error} unless the ciphertext was made with a known key for this very purpose */
  decrypt(data: Uint8Array, purpose: string): string
}

/** Bytes of a signing secret: as many as the signature's hash has. */
const SECRET_BYTES = 32

/** A new signing secret, as the Standard Webhooks specification writes one. */
export const newSecret = (): string => `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`

/** What a destination's secrets are encrypted for; the present one and the one before it alike. */
export const secretPurpose = (destinationId: string): string => `destination:${destinationId}:secret`
