import { messageOf } from '../kernel/errors.ts'
import { ServiceError } from './api.ts'
import { exitCodes } from './exit-codes.ts'
import { nodeFault } from './node-version.ts'
import { Interrupted, UsageError, type Host } from './process.ts'

interface Module {
  run: (args: string[], host: Host) => Promise<number>
}

/** Every command: a line of help, and the module that runs it and answers with the exit code. */
const commands: Record<string, { help: string; load: () => Promise<Module> }> = {
  serve: { help: 'run the service (configured by the environment)', load: () => import('./serve.ts') },
  migrate: { help: 'apply what migrations are due, then end', load: () => import('./migrate.ts') },
  reencrypt: {
    help: 'move what is encrypted to the current key, then end',
    load: () => import('./reencrypt.ts'),
  },
  apply: { help: 'make the set-up what files say', load: () => import('./apply.ts') },
  connect: {
    help: "give a customer's connection its credentials",
    load: () => import('./connect.ts'),
  },
  keys: { help: "list, create and revoke a project's API keys", load: () => import('./keys.ts') },
  write: { help: 'write a record, or many', load: () => import('./write.ts') },
  status: { help: 'show what became of a write', load: () => import('./status.ts') },
  tail: { help: 'show outcomes as they come', load: () => import('./tail.ts') },
  lanes: { help: 'show what waits to leave', load: () => import('./lanes.ts') },
  flush: { help: 'send what waits now', load: () => import('./flush.ts') },
  retry: { help: 'send failed writes again', load: () => import('./retry.ts') },
  simulator: { help: 'run a Salesforce org to try things on', load: () => import('./simulator.ts') },
  demo: { help: 'watch 1,000 writes go all the way', load: () => import('./demo.ts') },
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

/**
 * Runs the command that the arguments name; answers with the exit code. What goes wrong is told on standard error.
 *
 * The commands of the service itself (`serve`, `migrate`, `reencrypt`, `simulator`, `demo`) know no other host than
 * this process.
 */
export async function runCli(args: string[], host: Host): Promise<number> {
  try {
    return await runCommand(args, host)
  } catch (error) {
    // What went wrong, for whoever started it. Everything that was begun has been stopped.
    if (!(error instanceof Interrupted)) host.stderr.write(`writeback: ${messageOf(error)}\n`)
    return exitCodeOf(error)
  }
}

async function runCommand([name, ...args]: string[], host: Host): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    host.stdout.write(help())
    return name === undefined ? exitCodes.usage : exitCodes.done
  }
  if (name === 'help') return showHelp(args, host)
  if (name === 'version' || name === '--version' || name === '-v') {
    const { version } = await import('./version.ts')
    host.stdout.write(args.includes('--json') ? `${JSON.stringify({ version })}\n` : `${version}\n`)
    return exitCodes.done
  }
  const command = await find(name)
  const fault = nodeFault()
  if (fault !== null) throw new Error(fault)
  return command.run(args, host)
}

async function showHelp([name, ...more]: string[], host: Host): Promise<number> {
  if (more.length > 0) throw new UsageError('writeback help takes the name of one command.')
  if (name !== undefined) return (await find(name)).run(['--help'], host)
  host.stdout.write(help())
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
