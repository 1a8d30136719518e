#!/usr/bin/env node
import { ServiceError } from './cli/api.ts'
import { exitCodes } from './cli/exit-codes.ts'
import { nodeFault } from './cli/node-version.ts'
import { Interrupted, UsageError } from './cli/process.ts'
import { messageOf } from './kernel/errors.ts'

interface Module {
  run: (args: string[]) => Promise<number>
}

/** Every command: a line of help, and the module that runs it and answers with the exit code. */
const commands: Record<string, { help: string; load: () => Promise<Module> }> = {
  serve: { help: 'run the service (configured by the environment)', load: () => import('./cli/serve.ts') },
  migrate: { help: 'apply what migrations are due, then end', load: () => import('./cli/migrate.ts') },
  reencrypt: {
    help: 'move what is encrypted to the current key, then end',
    load: () => import('./cli/reencrypt.ts'),
  },
  apply: { help: 'make the set-up what files say', load: () => import('./cli/apply.ts') },
  connect: {
    help: "give a customer's connection its credentials",
    load: () => import('./cli/connect.ts'),
  },
  keys: { help: "list, create and revoke a project's API keys", load: () => import('./cli/keys.ts') },
  write: { help: 'write a record, or many', load: () => import('./cli/write.ts') },
  status: { help: 'show what became of a write', load: () => import('./cli/status.ts') },
  tail: { help: 'show outcomes as they come', load: () => import('./cli/tail.ts') },
  lanes: { help: 'show what waits to leave', load: () => import('./cli/lanes.ts') },
  flush: { help: 'send what waits now', load: () => import('./cli/flush.ts') },
  retry: { help: 'send failed writes again', load: () => import('./cli/retry.ts') },
  simulator: { help: 'run a Salesforce org to try things on', load: () => import('./cli/simulator.ts') },
  demo: { help: 'watch 1,000 writes go all the way', load: () => import('./cli/demo.ts') },
}

const help = (): string =>
  [
    'usage: writeback COMMAND [OPTIONS]',
    '',
    ...Object.entries(commands).map(([name, { help }]) => `  ${name.padEnd(10)} ${help}`),
    '',
    'writeback help COMMAND tells more of one, with examples.',
    'writeback --version says which version this is.',
    '',
  ].join('\n')

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    process.stdout.write(help())
    return name === undefined ? exitCodes.usage : exitCodes.done
  }
  if (name === 'help') return showHelp(args)
  if (name === 'version' || name === '--version' || name === '-v') {
    const { version } = await import('./cli/version.ts')
    process.stdout.write(args.includes('--json') ? `${JSON.stringify({ version })}\n` : `${version}\n`)
    return exitCodes.done
  }
  const command = await find(name)
  const fault = nodeFault()
  if (fault !== null) throw new Error(fault)
  return command.run(args)
}

async function showHelp([name, ...more]: string[]): Promise<number> {
  if (more.length > 0) throw new UsageError('writeback help takes the name of one command.')
  if (name !== undefined) return (await find(name)).run(['--help'])
  process.stdout.write(help())
  return exitCodes.done
}

function find(name: string): Promise<Module> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) throw new UsageError(`There is no command ${name}.\n${help()}`)
  return command.load()
}

/** The exit code of what was thrown, which says which floor it comes from. */
function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode
  if (error instanceof UsageError) return exitCodes.usage
  return error instanceof ServiceError && error.kind === 'refused' ? exitCodes.refused : exitCodes.failed
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  // What went wrong, for whoever started it. Everything that was begun has been stopped.
  if (!(error instanceof Interrupted)) process.stderr.write(`writeback: ${messageOf(error)}\n`)
  process.exitCode = exitCodeOf(error)
}
