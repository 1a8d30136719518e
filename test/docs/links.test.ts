import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const pages = ['README.md', 'CHANGELOG.md', ...globSync('{docs,examples}/**/*.md', { cwd: root })]

/** The places of a page that a link can name: its headings, as GitHub makes them. */
function anchors(page: string): string[] {
  const headings = readFileSync(page, 'utf8').matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

function brokenLinks(page: string): string[] {
  const text = readFileSync(resolve(root, page), 'utf8').replace(/```.*?```/gs, '')
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? resolve(root, page) : resolve(root, dirname(page), path)
    return !existsSync(file) || (anchor !== undefined && !anchors(file).includes(anchor))
  })
}

describe('the documentation', () => {
  it.each(pages.map((page) => [relative('.', page)]))('%s links to what is there', (page) => {
    expect(brokenLinks(page)).toEqual([])
  })

  it('has no page that the README does not lead to', () => {
    const readme = readFileSync(resolve(root, 'README.md'), 'utf8')
    const unlinked = pages.filter((page) => page.startsWith('docs/') && !readme.includes(`(${page})`))
    expect(unlinked).toEqual([])
  })
})
