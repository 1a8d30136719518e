import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import type { Report } from '../../bench/harness/report.ts'

const root = resolve(import.meta.dirname, '../..')

/** The line of docs/performance.md that runs the bench. */
const shown = (): string => {
  const page = readFileSync(resolve(root, 'docs/performance.md'), 'utf8')
  const [, code = ''] = /^```sh\n(.*?)^```$/ms.exec(page) ?? []
  return code.trim().split('\n').at(-1) ?? ''
}

/** Runs a line in the project's folder as a shell would; what it said, and its exit code. */
async function run(line: string): Promise<{ code: number | null; said: string }> {
  const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env
  const child = spawn('sh', ['-c', line], { cwd: root, env: { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said }
}

it("the page's command measures, and keeps its results", { timeout: 120_000 }, async () => {
  // As it stands it takes 25 minutes: here the question that needs the fewest processes, in its small sizes.
  const { code, said } = await run(`${shown()} -- --quick --only bulk`)
  expect(code, said).toBe(0)
  const [, folder = ''] = /^Kept in (.*)$/m.exec(said) ?? []
  expect(folder, said).toContain(resolve(root, 'bench/results'))
  try {
    const report = JSON.parse(readFileSync(resolve(folder, 'results.json'), 'utf8')) as Report
    expect(report).toMatchObject({ options: { quick: true, only: ['bulk'] }, questions: [{ error: null }] })
    const { answer } = report.questions[0]!
    expect(answer?.figures.map(({ label, rounds }) => [label, rounds.length])).toEqual([
      ['Writeback', 1],
      ['insert-rows', 1],
    ])
    for (const { rounds } of answer!.figures) expect(rounds[0]!).toBeGreaterThan(0)
    expect(said).toContain(readFileSync(resolve(folder, 'table.txt'), 'utf8').trim())
    expect(existsSync(resolve(folder, 'chart.svg'))).toBe(true)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
