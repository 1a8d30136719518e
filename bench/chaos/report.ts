import { counted } from '../../src/cli/demo/summary.ts'
import type { Comparison } from './compare.ts'
import type { Finding } from './evidence.ts'
import type { ChaosOptions } from './options.ts'
import { targets, type Target } from './plan-kills.ts'
import type { OwnEnd } from './supervised.ts'

/** All that a run came to. */
export interface Report {
  options: ChaosOptions
  /** SIGKILLs that struck, by process. */
  kills: ReadonlyMap<Target, number>
  /** Requests that a fault of the org struck, by kind. */
  faults: ReadonlyMap<string, number>
  comparison: Comparison
  /** What came instead of an acknowledgement, by how often. */
  remarks: ReadonlyMap<string, number>
  /** Writes in the database that have not ended, whoever knows of them. */
  unended: number
  drainSeconds: number
  ownEnds: readonly OwnEnd[]
  logFolder: string
}

/** Findings of each kind that are shown; one fault can show in thousands of records. */
const MOST_FINDINGS = 10

const count = (findings: readonly Finding[], kind: Finding['kind']): number =>
  findings.filter((one) => one.kind === kind).length

/** Writes that have not ended: acknowledged ones, and those of which no caller knows. */
const stuckOf = ({ comparison, unended }: Report): number =>
  Math.max(count(comparison.findings, 'stuck'), unended)

/** Whether everything that was promised was kept. */
export const isGood = (report: Report): boolean =>
  report.comparison.findings.length === 0 && stuckOf(report) === 0 && report.ownEnds.length === 0

/** The report, line by line. */
export function reportLines(report: Report): string[] {
  const { options, comparison, kills, faults, ownEnds } = report
  const { findings } = comparison
  const row = (name: string, value: string | number): string => `  ${name.padEnd(20)}${String(value)}`
  const figure = (value: number): string => value.toLocaleString('en-US')
  const all = [...kills.values()].reduce((sum, times) => sum + times, 0)
  return [
    row('seed', options.seed),
    row('seconds', options.seconds),
    row('kills', `${figure(all)} (${targets.map((one) => `${one} ${kills.get(one) ?? 0}`).join(', ')})`),
    row('org faults', [...faults].map(([kind, times]) => `${kind} ${times}`).join(', ')),
    row('acknowledged', figure(comparison.acknowledged)),
    row('not acknowledged', figure(comparison.unacknowledged)),
    ...[...report.remarks].map(([remark, times]) => `    ${figure(times)} × ${remark}`),
    row('succeeded', figure(comparison.succeeded)),
    row('failed', figure(comparison.failed)),
    row('lost', figure(count(findings, 'lost'))),
    row('doubled', figure(count(findings, 'doubled'))),
    row('in doubt', figure(comparison.inDoubt)),
    row('stuck', figure(stuckOf(report))),
    row('drained after', `${report.drainSeconds.toFixed(1)} s`),
    ...ownEnds.map(({ name, how }) => row('ended by itself', `${name} ${how}`)),
    row('logs', report.logFolder),
    '',
    ...findingLines(findings),
    isGood(report)
      ? `OK: ${counted(comparison.acknowledged, 'acknowledged write')}, nothing lost, doubled or stuck.`
      : 'NOT OK: see above; findings.json beside the logs has all of it.',
  ]
}

function findingLines(findings: readonly Finding[]): string[] {
  const shown = (['lost', 'doubled', 'stuck'] as const).flatMap((kind) =>
    findings.filter((one) => one.kind === kind).slice(0, MOST_FINDINGS),
  )
  if (shown.length === 0) return []
  return [
    ...shown.map((one) => `  ${one.kind} ${one.marker} (operation ${one.operationId ?? 'none'}) ${one.what}`),
    '',
  ]
}
