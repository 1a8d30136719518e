import { exitCodes } from './exit-codes.ts'
import type { Api } from './api.ts'
import { helpOf, readInput, usageError, type Input, type Spec } from './command.ts'
import { createOutput, type Output } from './output.ts'
import { interruption, type Host } from './process.ts'
import { NoKey, openApi, readTarget } from './target.ts'

/** A command, as `main` runs it. */
export interface Command {
  spec: Spec
  /** Answers with the exit code. */
  run: (args: string[], host?: Host) => Promise<number>
}

/** What a command that calls the service works with. */
export interface Session {
  api: Api
  output: Output
  host: Host
  /** Aborted by SIGINT and SIGTERM. */
  signal: AbortSignal
}

/**
 * A command that reads its options first, all that is wrong with them being refused at once, and then works on
 * something.
 *
 * @param read looks at the options; what it answers is what `work` gets
 */
export function command<T>(
  spec: Spec,
  read: (input: Input, host: Host) => T,
  work: (given: T, input: Input, host: Host) => Promise<number>,
): Command {
  return {
    spec,
    run: async (args, host = process) => {
      const input = readInput(spec, args, host.env)
      if (input === null) {
        host.stdout.write(helpOf(spec))
        return exitCodes.done
      }
      const given = read(input, host)
      input.check()
      return work(given, input, host)
    },
  }
}

/** The same, calling the service: {@link command} with the options that say which. */
export function serviceCommand<T>(
  spec: Spec,
  read: (input: Input, host: Host) => T,
  work: (given: T, session: Session) => Promise<number>,
  { patienceMs }: { patienceMs?: number } = {},
): Command {
  return command(
    spec,
    (input, host) => ({ target: readTarget(input), given: read(input, host) }),
    async ({ target, given }, input, host) => {
      endQuietlyWithoutReader(host)
      const signal = interruption(host)
      const settings = { signal, env: host.env, ...(patienceMs !== undefined && { patienceMs }) }
      const api = await openApi(target, settings).catch((error: unknown) => {
        throw error instanceof NoKey ? usageError(spec.name, [error.message]) : error
      })
      return work(given, { api, output: createOutput(input.flag('json'), host), host, signal })
    },
  )
}

/** A reader that has seen enough (`| head`) ends the command without a word. */
function endQuietlyWithoutReader({ stdout, exit }: Host): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    exit(exitCodes.done)
  })
}
