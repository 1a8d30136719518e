import { rm, stat } from 'node:fs/promises'
import { afterEach, expect, it } from 'vitest'
import { isGood, reportLines } from '../../bench/chaos/report.ts'
import { runChaos } from '../../bench/chaos/run.ts'

let folder: string | null = null
afterEach(async () => {
  if (folder !== null) await rm(folder, { recursive: true, force: true })
})

it('a short run kills, drains and finds nothing lost, doubled or stuck', { timeout: 180_000 }, async () => {
  const silent = { say: () => undefined, show: () => undefined }
  const options = { seconds: 6, seed: 3, rate: 40, drain: 90, lease: 5 }
  const report = await runChaos(options, silent, new AbortController().signal)
  folder = report.logFolder
  const { comparison, kills, unended, ownEnds } = report
  expect(comparison.findings).toEqual([])
  expect({ unended, ownEnds }).toEqual({ unended: 0, ownEnds: [] })
  expect([...kills.values()].reduce((sum, times) => sum + times, 0)).toBeGreaterThan(0)
  expect(comparison.succeeded).toBeGreaterThan(5)
  expect(comparison.succeeded + comparison.failed + comparison.inDoubt).toBe(comparison.acknowledged)
  expect(isGood(report)).toBe(true)
  expect(reportLines(report).join('\n')).toMatch(/lost +0\n +doubled +0\n +in doubt +\d+\n +stuck +0\n/)
  expect((await stat(`${folder}/worker-1.log`)).size).toBeGreaterThan(0)
  await expect(stat(`${folder}/data`)).rejects.toThrow('ENOENT')
})
