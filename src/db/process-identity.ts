import { execFile } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * What tells a process from any other that has, had or will have the same id: when it started. Null
 * when there is no such process, or only its remains waiting to be collected.
 */
export async function startOfProcess(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') return startByPs(pid)
  const [stat, boot] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
  ])
  if (stat === null) return null
  // the command's name comes second, in parentheses, and may hold anything
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, start] = [fields[0], fields[19]]
  if (start === undefined || state === 'Z' || state === 'X') return null
  return `${start}-${boot.slice(0, 8)}`
}

async function startByPs(pid: number): Promise<string | null> {
  const answer = await run('ps', ['-o', 'lstart=,stat=', '-p', String(pid)], {
    env: { ...process.env, LC_ALL: 'C' },
  })
    .then(({ stdout }) => stdout.trim())
    .catch(() => '')
  if (answer === '' || /\sZ\S*$/.test(answer)) return null
  return answer.replace(/\s+\S+$/, '').replaceAll(/[^0-9A-Za-z]+/g, '.')
}

/** Whether a process is the main process of the PostgreSQL that runs on this folder (an absolute real path). */
export async function isPostmasterOf(pid: number, folder: string): Promise<boolean> {
  if ((await startOfProcess(pid)) === null) return false
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => ({
      stdout: '',
    }))
    return stdout.includes('postgres') && stdout.includes(folder)
  }
  const [command, directory] = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    readlink(`/proc/${pid}/cwd`).catch(() => ''),
  ])
  return basename(command.split('\0')[0] ?? '') === 'postgres' && directory === folder
}
