import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Length of the kernel's clock tick, in milliseconds: 100 a second wherever Node.js runs on Linux. */
const TICK_MS = 10

interface Stat {
  parent: number
  /** Its own time and that of its children that have ended. */
  cpuMs: number
}

/** What the kernel tells of a process; null when it is gone, or where there is no /proc. */
function readStat(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name stands in brackets and may hold anything; what follows it is numbers.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { parent: Number(fields[1]), cpuMs: ticks * TICK_MS }
  } catch {
    return null
  }
}

/** Milliseconds of processor time of a process and all below it, ended ones included; null where that cannot be told. */
export function cpuMsOf(pid: number): number | null {
  const own = readStat(pid)
  if (own === null) return null
  const all = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : null
    if (stat !== null) all.set(Number(name), stat)
  }
  const below = (parent: number): number =>
    [...all].reduce(
      (sum, [child, stat]) => (stat.parent === parent ? sum + stat.cpuMs + below(child) : sum),
      0,
    )
  return own.cpuMs + below(pid)
}

/** Resident memory of a process, in MB (10^6 bytes); null when it is gone. */
export function residentMb(pid: number): number | null {
  try {
    if (process.platform !== 'linux')
      return (
        (Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024) / 1e6
      )
    const [, kb] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return kb === undefined ? null : (Number(kb) * 1024) / 1e6
  } catch {
    return null
  }
}

/** Processes by the part that they are. */
export type Pids = Readonly<Record<string, number>>

/** Takes the time that each part has used so far. */
export function startCpu(pids: Pids): { perRecord: (records: number) => Record<string, number> } {
  const before = Object.entries(pids).map(([part, pid]) => ({ part, pid, ms: cpuMsOf(pid) }))
  return {
    perRecord: (records) =>
      Object.fromEntries(
        before.flatMap(({ part, pid, ms }) => {
          const now = cpuMsOf(pid)
          return ms === null || now === null || records === 0 ? [] : [[part, ((now - ms) * 1000) / records]]
        }),
      ),
  }
}
