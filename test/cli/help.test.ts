import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { helpOf, readInput, type Input, type Spec } from '../../src/cli/command.ts'
import { demoHelp } from '../../src/cli/demo/options.ts'
import { exitCodes, exitMeanings } from '../../src/cli/exit-codes.ts'
import { clientVariables, serviceEnvironment, UsageError } from '../../src/cli/process.ts'
import { loadConfig } from '../../src/config.ts'
import { cli, cliHere } from './cli-process.ts'

const commands = [
  'serve migrate reencrypt apply connect keys write status tail lanes flush retry simulator demo',
].flatMap((names) => names.split(' '))
const reference = readFileSync(join(import.meta.dirname, '../../docs/reference/cli.md'), 'utf8')

async function helpFor(name: string): Promise<string> {
  if (name === 'demo') return demoHelp
  const { spec } = (await import(`../../src/cli/${name}.ts`)) as { spec: Spec }
  expect(spec.name).toBe(name)
  return helpOf(spec)
}

describe('the help', () => {
  it.each(commands)(
    'of %s tells how it is called, with examples, at 80 columns, as the reference does',
    async (name) => {
      const help = await helpFor(name)
      for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
      expect(help).toMatch(new RegExp(`^usage: writeback ${name}`))
      expect(help).toMatch(new RegExp(`\nExamples\n( {2}.*\n)*.*writeback ${name}`))
      expect(help).toContain('--json')
      expect(help).toMatch(/\nExit codes\n {2}0 /)
      // To mend the reference, put in what `writeback help NAME` prints.
      expect(reference).toContain(`### writeback ${name}\n\n\`\`\`text\n${help}\`\`\`\n`)
    },
  )

  it('and the README call commands as they can be called', async () => {
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
    const section = readme.split('## The command line\n')[1]?.split('\n## ')[0] ?? ''
    const [, shown = ''] = /```sh\n(.*?)```/s.exec(section) ?? []
    const specs = new Map<string, Spec>()
    for (const name of commands.filter((name) => name !== 'demo'))
      specs.set(name, ((await import(`../../src/cli/${name}.ts`)) as { spec: Spec }).spec)
    const examples = [...specs.values()].flatMap(({ examples }) => examples.map(([, call]) => call))
    const calls = [...examples, ...shown.split('\n').slice(0, -1)]
    expect(shown.split('\n').length).toBeGreaterThan(4)
    for (const call of calls) {
      const [, name = '', rest = ''] =
        /(?:^|[| ])writeback (\w+)(.*)$/s.exec(call.replaceAll('\\\n', ' ')) ?? []
      const [own = ''] = rest.split(/ [|<#] /)
      const args = [...own.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')
      expect(specs.has(name), call).toBe(true)
      expect(() => readInput(specs.get(name)!, args, {})!.check(), call).not.toThrow()
    }
  })

  it('lists every command there is', async () => {
    const [all, asked, version, none] = await Promise.all([
      cliHere(['--help']),
      cliHere(['help', 'lanes']),
      cli(['--version']),
      cli([]),
    ])
    expect(all).toMatchObject({ code: 0, stderr: '' })
    const listed = [...all.stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name)
    expect(listed).toEqual(commands)
    const files = readdirSync(join(import.meta.dirname, '../../src/cli'))
    for (const name of commands) expect(files).toContain(`${name}.ts`)
    expect(asked).toEqual({ code: 0, stdout: await helpFor('lanes'), stderr: '' })
    const { version: own } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    ) as { version: string }
    expect(version).toEqual({ code: 0, stdout: `${own}\n`, stderr: '' })
    expect(none).toEqual({ ...all, code: 2 })
  })

  it('names a command that is not there', async () => {
    const { code, stdout, stderr } = await cli(['writ', '--help'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^writeback: There is no command writ\.\nusage: /)
  })

  it('of the exit codes is in the reference', () => {
    const rows = [...reference.matchAll(/^\| (\d+) +\| (.*?) *\|$/gm)].map(([, code, meaning]) => [
      Number(code),
      meaning,
    ])
    expect(rows).toEqual(
      Object.entries(exitCodes).map(([name, code]) => [code, exitMeanings[name as keyof typeof exitCodes]]),
    )
    expect(new Set(Object.values(exitCodes)).size).toBe(Object.keys(exitCodes).length)
  })
})

describe('options', () => {
  const spec: Spec = {
    name: 'try',
    usage: [''],
    about: [''],
    maxArguments: 1,
    options: {
      name: { value: 'TEXT', short: 'n', env: 'TRY_NAME', help: '' },
      count: { value: 'N', help: '' },
      kind: { value: 'KIND', help: '' },
      tag: { value: 'TAG', isRepeatable: true, help: '' },
      loud: { help: '' },
    },
    examples: [],
    exits: [],
  }
  const read = (args: string[], env = {}): Input => readInput(spec, args, env)!

  it('are read, with variables in their place', () => {
    const input = read(['x', '-n', 'a', '--tag', 'b', '--tag=-c', '--loud', '--count', '7'], {
      TRY_NAME: 'z',
    })
    expect([input.positionals, input.text('name'), input.list('tag'), input.flag('loud')]).toEqual([
      ['x'],
      'a',
      ['b', '-c'],
      true,
    ])
    expect(input.number('count', 1, { min: 0, max: 9 })).toBe(7)
    expect(() => input.check()).not.toThrow()
    expect(read([], { TRY_NAME: 'z' }).required('name')).toBe('z')
    expect(read([]).number('count', 1, { min: 0, max: 9 })).toBe(1)
    expect(readInput(spec, ['--count', 'x', '-h'], {})).toBeNull()
  })

  it('that are wrong are named all at once', () => {
    const input = read([
      'x',
      'y',
      '--nope',
      '-q',
      '--loud=1',
      '--count',
      '12',
      '--kind',
      'c',
      '--tag',
      '--loud',
      '--loud',
    ])
    input.required('name')
    input.number('count', 1, { min: 0, max: 9 })
    input.choice('kind', ['a', 'b'])
    expect(() => input.check()).toThrow(UsageError)
    expect(() => input.check()).toThrow(
      [
        'unknown option --nope',
        'unknown option -q',
        '--loud takes no value',
        '--tag needs a value (one that begins with a dash as --tag=TAG)',
        'unexpected argument "y"',
        '--name is required (or the variable TRY_NAME)',
        '--count must be a whole number from 0 to 9, not "12"',
        '--kind must be one of a, b, not "c"',
        'See writeback help try.',
      ].join('\n'),
    )
  })

  it('given twice are refused, and bad variables named', () => {
    const input = read(['--name', 'a', '--name', 'b'])
    expect(() => input.check()).toThrow('--name is given twice')
    const fromEnv = read([], { TRY_NAME: 'c' })
    fromEnv.choice('name', ['a'])
    expect(() => fromEnv.check()).toThrow('TRY_NAME must be one of a, not "c"')
  })

  it.each(['serve', 'migrate', 'reencrypt'])('of %s are none but those of its help', async (name) => {
    const { run } = (await import(`../../src/cli/${name}.ts`)) as { run: (args: string[]) => Promise<number> }
    await expect(run(['now', '--fast'])).rejects.toThrow('unknown option --fast\nunexpected argument "now"')
  })

  it('of the other commands may be set where the service is started', () => {
    const env = Object.fromEntries(Object.values(clientVariables).map((name) => [name, 'x']))
    expect(() => loadConfig(serviceEnvironment(env))).not.toThrow()
    expect(() => loadConfig(serviceEnvironment({ WRITEBACK_PROJEKT: 'x' }))).toThrow('WRITEBACK_PROJEKT')
  })

  it.each([
    [
      ['simulator', '--port', '70000', '--seed', 'x'],
      '--port must be a whole number from 0 to 65535, not "70000"\n--seed must be',
    ],
    [['tail', '--group', 'g', '-p', 'x', '--limit', '0'], '--group needs --integration\n--limit must be'],
    [['write', 'X', '{}', '--type', 'merge', '--file', 'f'], '--file and a RECORD exclude each other'],
    [['keys', 'make', '-p', 'x'], 'say what to do: list, create, revoke, not "make"'],
    [['apply'], '-f FILE is required'],
  ])('%j is refused before anything is done', async (args, message) => {
    const { code, stdout, stderr } = await cliHere(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})
