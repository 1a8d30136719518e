import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { readOptions } from '../../src/client/options.ts'

const root = resolve(import.meta.dirname, '../..')
const guide = readFileSync(resolve(root, 'docs/guides/client.md'), 'utf8')
const squeezed = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

/** The lines of imports differ: an example takes all that it needs. */
const withoutImports = (text: string): string => squeezed(text.replaceAll(/^import .*$/gm, ''))

it('the guide’s snippets are those of the examples, which are run by a test of their own', () => {
  const examples = globSync('examples/*.ts', { cwd: root }).map((file) =>
    withoutImports(readFileSync(resolve(root, file), 'utf8')),
  )
  const snippets = [...guide.matchAll(/```ts\n(.*?)```/gs)].map((match) => withoutImports(match[1] ?? ''))
  expect(snippets.length).toBeGreaterThan(4)
  expect(snippets.filter((snippet) => !examples.some((example) => example.includes(snippet)))).toEqual([])
})

it('the guide names each option with its default', () => {
  const settings = readOptions({ baseUrl: 'http://127.0.0.1', apiKey: 'k', project: 'p' })
  const rows = new Map(
    [...guide.matchAll(/^\| `(\w+)` +\| ([\w,]+) +\|/gm)].map((match) => [match[1], match[2]]),
  )
  for (const name of ['timeoutMs', 'coalesceMs', 'bulkCalls'] as const)
    expect([name, rows.get(name)]).toEqual([name, settings[name].toLocaleString('en')])
  expect(settings.retry).toEqual({ attempts: 8, minDelayMs: 200, maxDelayMs: 5_000, maxRetryAfterMs: 60_000 })
})
