/** A JSON object. A member called `__proto__` is a member like any other, as JSON.parse makes it. */
export type JsonObject = Record<string, unknown>

/** Whether a value is a JSON object and not a list or null. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Characters of a caller's text that a message may quote. */
const MAX_QUOTED = 100

/** A caller's own text, bounded and in quotes, for a message. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text)

/** The name by which fields, headers and objects are compared: the platform minds no letter case. */
export const foldCase = (name: string): string => name.toLowerCase()
