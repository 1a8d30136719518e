import { readFileSync } from 'node:fs'

/** Open files of a process besides its long polls. */
const OTHERS = 500

/** Long polls that one process may hold, by what the system allows it to have open and by its ports. */
export function mostPolls(): number {
  return Math.max(0, Math.min(openFiles(), localPorts()) - OTHERS)
}

/** Node.js raises its own limit to the hard one when it starts. */
function openFiles(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { hard: number | 'unlimited' } }
  }
  const hard = userLimits?.open_files?.hard ?? 'unlimited'
  return hard === 'unlimited' ? Infinity : hard
}

/** Ports for connections to one address; where it cannot be read, what is usual. */
function localPorts(): number {
  try {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)
    return Number(range[1]) - Number(range[0])
  } catch {
    return 16_000
  }
}
