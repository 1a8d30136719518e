import { demoApp, startSimulator, type SimulatorOptions } from '../simulator/start.ts'
import type { Input, Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { createOutput } from './output.ts'
import { stopSignal } from './process.ts'
import { command } from './run-command.ts'

export const spec: Spec = {
  name: 'simulator',
  usage: [''],
  about: [
    'Runs a Salesforce org to try things on, over HTTP, until SIGTERM or SIGINT. Every request is a line of JSON on standard output.',
  ],
  options: {
    port: { value: 'N', help: 'where it listens (default 8090; 0 for any free port)' },
    host: { value: 'ADDRESS', help: 'default 127.0.0.1' },
    'public-url': { value: 'URL', help: 'how others reach it, for the instance_url of its sessions' },
    seed: { value: 'N', help: 'decides ids, tokens and draws (default 1)' },
    quiet: { help: 'no line per request' },
    json: { help: 'JSON on the first line too' },
  },
  examples: [
    ['On port 8090', 'writeback simulator'],
    ['Where it listens, for a script', 'writeback simulator --port 0 --quiet --json | jq -r .url'],
  ],
  exits: ['done', 'failed', 'usage'],
}

/** `writeback simulator`: the Salesforce stand-in, until SIGTERM or SIGINT. */
export const { run } = command(spec, readOptions, async (options, input) => {
  const output = createOutput(input.flag('json'), process)
  const signal = stopSignal()
  const simulator = await startSimulator(options)
  const { clientId, clientSecret, users = [] } = demoApp
  const [username = ''] = users
  const { loginPassword: password } = simulator.org.settings
  output.json({ url: simulator.url, clientId, clientSecret, username, password })
  output.line(`The simulator listens on ${simulator.url}`)
  output.line(`Client credentials: client id ${clientId}, secret ${clientSecret}`)
  output.line(`To log in on its pages: ${username}, password ${password}`)
  await signal.raised
  await simulator.close()
  return exitCodes.done
})

function readOptions(input: Input): SimulatorOptions {
  const publicUrl = input.text('public-url')
  return {
    port: input.number('port', 8090, { min: 0, max: 65_535 }),
    host: input.text('host') ?? '127.0.0.1',
    seed: input.number('seed', 1, { min: 0, max: 2 ** 31 - 1 }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(input.flag('quiet') ? {} : { log: (line) => process.stdout.write(`${JSON.stringify(line)}\n`) }),
  }
}
