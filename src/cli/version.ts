import { readFileSync } from 'node:fs'

/** The version of the package; its file lies two folders above, in the sources as in the built package. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
