import { readFileSync } from 'node:fs'

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  engines: { node: string }
}

/**
 * What is wrong with the version of Node that runs this, for whoever started it; null when nothing is. npm only
 * warns of one that is too old, and what fails then says nothing.
 *
 * @param version of Node, for example `24.1.0`
 * @param wanted as package.json says it: `>=22.22`
 */
export function nodeFault(
  version: string = process.versions.node,
  wanted: string = engines.node,
): string | null {
  const least = wanted.replace(/^>=/, '')
  const [is, must] = [version, least].map((text) => text.split('.').map(Number))
  const difference = must?.map((part, place) => (is?.[place] ?? 0) - part).find((one) => one !== 0) ?? 0
  return difference < 0 ? `this needs Node ${least} or newer, and runs on ${version}.` : null
}
