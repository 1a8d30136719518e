#!/usr/bin/env node
import { UsageError } from './cli/process.ts'
import { messageOf } from './kernel/errors.ts'

/** Every command: a line of help, and the module that runs it and answers with the exit code. */
const commands: Record<
  string,
  { help: string; load: () => Promise<{ run: (args: string[]) => Promise<number> }> }
> = {
  serve: { help: 'run the service (configured by the environment)', load: () => import('./cli/serve.ts') },
  migrate: { help: 'apply what migrations are due, then end', load: () => import('./cli/migrate.ts') },
  reencrypt: {
    help: 'move what is encrypted to the current key, then end',
    load: () => import('./cli/reencrypt.ts'),
  },
  simulator: { help: 'run a Salesforce org to try things on', load: () => import('./cli/simulator.ts') },
  demo: { help: 'watch 1,000 writes go all the way', load: () => import('./cli/demo.ts') },
}

const help = (): string =>
  [
    'usage: writeback COMMAND',
    '',
    ...Object.entries(commands).map(([name, { help }]) => `  ${name.padEnd(10)} ${help}`),
    '',
  ].join('\n')

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(help())
    return name === undefined ? 2 : 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) throw new UsageError(`There is no command ${name}.\n${help()}`)
  return (await command.load()).run(args)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  // One line: what went wrong, for whoever started it. Everything that was begun has been stopped.
  process.stderr.write(`writeback: ${messageOf(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
