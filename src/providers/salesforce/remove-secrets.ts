/** Characters of a secret in a row that tell of it: fewer are everywhere. */
const TELLING = 12

/** What stands in a secret's place. */
const REMOVED = '[removed]'

/** The ways in which a host that was sent a secret writes it back. */
const formsOf = (secret: string): string[] => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams({ s: secret }).toString().slice(2),
  Buffer.from(secret).toString('base64'),
  Buffer.from(secret).toString('base64url'),
  Buffer.from(secret).toString('hex'),
]

/** Letters of other alphabets may change their length, and places would not fit any more. */
const lowerCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())

/** Every stretch of a form that is long enough to tell; in lower case, as hosts differ in that. */
function* stretchesOf(form: string): Iterable<string> {
  const text = lowerCase(form)
  const length = Math.min(TELLING, text.length)
  for (let start = 0; start + length <= text.length; start++) yield text.slice(start, start + length)
}

/**
 * A text of another host without what it was sent: whole secrets, and parts of 12 characters and more, also
 * URL-encoded, in base64 or in hex. Costs a look-up for each character: meant for the texts of errors.
 */
export function removeSecrets(text: string, secrets: readonly string[]): string {
  const forms = secrets.filter((secret) => secret !== '').flatMap(formsOf)
  const stretches = new Set(forms.flatMap((form) => [...stretchesOf(form)]))
  const lengths = [...new Set([...stretches].map((stretch) => stretch.length))]
  const lower = lowerCase(text)
  let safe = ''
  // Up to where it is clear what is kept, and up to where the secret that is being read reaches.
  let kept = 0
  let secretEnd = 0
  for (let at = 0; at < text.length; at++) {
    const length = lengths.find((one) => stretches.has(lower.slice(at, at + one)))
    if (length === undefined) continue
    if (at > secretEnd || secretEnd === 0) safe += text.slice(kept, at) + REMOVED
    secretEnd = Math.max(secretEnd, at + length)
    kept = secretEnd
  }
  return safe + text.slice(kept)
}
