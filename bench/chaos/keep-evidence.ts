import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Comparison } from './compare.ts'
import type { Evidence, Finding } from './evidence.ts'
import type { Parts } from './parts.ts'

/** Findings that are looked into; the others are named. */
const MOST_DETAILED = 50

/**
 * Keeps what tells how a finding came about, in `findings.json`: the operation with its log, and every write
 * to the same record. The database's log is kept beside those of the processes.
 */
export async function keepEvidence(
  folder: string,
  evidence: Evidence,
  { findings }: Comparison,
  parts: Parts,
): Promise<void> {
  await copyFile(join(folder, 'data', 'postgres.log'), join(folder, 'postgres.log')).catch(() => undefined)
  if (findings.length === 0) return
  const details: unknown[] = []
  for (const finding of findings.slice(0, MOST_DETAILED)) details.push(await detail(finding, evidence, parts))
  const all = { details, more: findings.slice(MOST_DETAILED) }
  await writeFile(join(folder, 'findings.json'), `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 })
}

async function detail(finding: Finding, evidence: Evidence, parts: Parts): Promise<unknown> {
  const { marker, operationId } = finding
  const own = evidence.entries.find(({ item }) => item.marker === marker)
  const subject = own?.item.subject ?? null
  const chain = subject === null ? [own] : evidence.entries.filter(({ item }) => item.subject === subject)
  const call = parts.api(0)
  const path = `/v1/projects/${parts.project.projectId}/operations/${operationId ?? ''}`
  const ask = async (more: string): Promise<unknown> =>
    operationId === null || call === null ? null : (await call('GET', `${path}${more}`)).body
  return {
    finding,
    subject,
    operation: await ask(''),
    log: await ask('/logs'),
    writes: chain.map((entry) => entry && shown(entry)),
  }
}

const shown = ({ call, item, ...told }: Evidence['entries'][number]): unknown => ({
  marker: item.marker,
  values: item.values,
  at: call.at,
  mode: call.mode,
  type: call.type,
  policy: call.policy,
  isBatch: call.isBatch,
  ...told,
})
