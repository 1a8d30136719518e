import { parseArgs } from 'node:util'
import { messageOf } from '../kernel/errors.ts'
import { startSimulator, type SimulatorOptions } from '../simulator/start.ts'
import { stopSignal, UsageError } from './process.ts'

const help = `writeback simulator: a Salesforce org to try things on, over HTTP

  --port N         where it listens (default 8090; 0 for any free port)
  --host ADDRESS   default 127.0.0.1
  --public-url URL how others reach it, for the instance_url of its sessions
  --seed N         decides ids, tokens and draws (default 1)
  --quiet          no line per request
`

/** `writeback simulator`: the Salesforce stand-in, until SIGTERM or SIGINT. */
export async function run(args: string[]): Promise<number> {
  const options = read(args)
  if (options === null) {
    process.stdout.write(help)
    return 0
  }
  const signal = stopSignal()
  const simulator = await startSimulator(options)
  process.stdout.write(`The simulator listens on ${simulator.url}\n`)
  process.stdout.write('Client credentials: client id writeback-demo, secret demo-secret\n')
  await signal.raised
  await simulator.close()
  return 0
}

function read(args: string[]): SimulatorOptions | null {
  const values = parse(args)
  if (values.help === true) return null
  return {
    port: wholeNumber('--port', values.port ?? '8090', 65_535),
    host: values.host ?? '127.0.0.1',
    seed: wholeNumber('--seed', values.seed ?? '1', 2 ** 31 - 1),
    ...(values['public-url'] === undefined ? {} : { publicUrl: values['public-url'] }),
    ...(values.quiet === true ? {} : { log: (line) => process.stdout.write(`${JSON.stringify(line)}\n`) }),
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        'public-url': { type: 'string' },
        seed: { type: 'string' },
        quiet: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError(`${messageOf(error)} See writeback simulator --help.`)
  }
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= max) return value
  throw new UsageError(`${name} must be a whole number from 0 to ${max}, not ${text}.`)
}
