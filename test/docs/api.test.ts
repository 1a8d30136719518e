import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startService, type Service } from '../support/service.ts'

const file = new URL('../../docs/reference/api.md', import.meta.url)

interface Described {
  tags?: string[]
  summary?: string
}
interface Document {
  tags?: { name: string; description?: string }[]
  paths: Record<string, Record<string, Described>>
  webhooks?: Record<string, Record<string, Described>>
}

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

/** The reference as the service's own description of its calls says it. */
function toMarkdown({ tags = [], paths, webhooks = {} }: Document): string {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { tags: [tag = ''] = [], summary = '' }]) => ({
      tag,
      row: `| \`${method.toUpperCase()} ${path}\` | ${summary} |`,
    })),
  )
  const names = [...new Set([...tags.map(({ name }) => name), ...calls.map(({ tag }) => tag)])]
  const sections = names.flatMap((name) => {
    const rows = calls.filter(({ tag }) => tag === name).map(({ row }) => row)
    const about = tags.find((tag) => tag.name === name)?.description
    if (rows.length === 0) return []
    return [
      `## ${name}`,
      ...(about === undefined ? [] : [about]),
      ['| call | |', '| --- | --- |', ...rows].join('\n'),
    ]
  })
  const hooks = Object.entries(webhooks).map(([name, { post }]) => `| \`${name}\` | ${post?.summary ?? ''} |`)
  const told = ['| notification | |', '| --- | --- |', ...hooks].join('\n')
  return [...sections, '## webhooks', 'What the service posts to destinations.', told].join('\n\n')
}

/** Without the widths of columns, which are the formatter's. */
const plain = (text: string): string => text.replace(/ +\|/g, ' |').replace(/-+ \|/g, '--- |').trim()

it('the reference lists every call as the service describes it', async () => {
  const answer = await fetch(`${service.app.url}/openapi.json`)
  const made = toMarkdown((await answer.json()) as Document)
  const text = readFileSync(file, 'utf8')
  const [head = '', rest = ''] = text.split('<!-- calls:start -->\n')
  const [kept = '', tail = ''] = rest.split('<!-- calls:end -->')
  if (process.env['UPDATE_DOCS'] === '1')
    writeFileSync(file, `${head}<!-- calls:start -->\n\n${made}\n\n<!-- calls:end -->${tail}`)
  else expect(plain(kept)).toBe(plain(made))
})
