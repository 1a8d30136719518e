import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readInput, type Spec } from '../../src/cli/command.ts'
import { createClient } from '../../src/cli/demo/client.ts'
import { writePath } from '../../src/cli/demo/post.ts'
import { addCustomer, createProject } from '../../src/cli/demo/tenant.ts'
import { serviceEnvironment } from '../../src/cli/process.ts'
import { configTable, loadConfig } from '../../src/config.ts'
import { waitUntil } from '../support/wait-until.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(resolve(root, file), 'utf8')
const page = read('docs/guides/production.md')
const composeFile = read('docker-compose.yml')

interface ComposeService {
  build?: string
  command?: string[]
  environment?: Record<string, string | number>
  ports?: string[]
  deploy?: { replicas: number }
  depends_on?: Record<string, unknown>
  volumes?: string[]
}

/** A text as compose fills it in where none of its variables is set. */
function filledIn(text: string): string {
  // From the inside: a default may name another variable.
  const next = text.replaceAll(/\$\{\w+:-([^${}]*)\}/g, '$1')
  return next === text ? text : filledIn(next)
}

const { services, volumes } = parse(filledIn(composeFile), { merge: true }) as {
  services: Record<string, ComposeService>
  volumes: Record<string, unknown>
}
/** Those that run the image of the Dockerfile. */
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined)

/** The lines of the Dockerfile that begin with a word, without it. */
const instructions = (word: string): string[] =>
  [...read('Dockerfile').matchAll(new RegExp(`^(?: *)${word} (.*(?:\\\\\\n.*)*)`, 'gm'))].map(
    ([, rest = '']) => rest,
  )
const imageEnvironment = Object.fromEntries(
  instructions('ENV').flatMap((line) => line.split(' ').map((one) => one.split('=') as [string, string])),
)
const imageCommand = JSON.parse(instructions('CMD').at(-1)!) as string[]

describe('the compose file', () => {
  it('has what the page says, and nothing that it refers to is missing', () => {
    const replicas = Object.entries(services).map(([name, { deploy }]) => [name, deploy?.replicas ?? 1])
    expect(Object.fromEntries(replicas)).toEqual({ postgres: 1, migrate: 1, api: 1, worker: 2, simulator: 1 })
    for (const { depends_on = {}, volumes: mounts = [] } of Object.values(services)) {
      expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)))
      expect(Object.keys(volumes)).toEqual(expect.arrayContaining(mounts.map((one) => one.split(':')[0])))
    }
    expect(services['api']!.ports).toEqual([`127.0.0.1:8080:${imageEnvironment['PORT']!}`])
    expect(page).toContain(`the admin key \`${services['api']!.environment!['WRITEBACK_ADMIN_KEY']!}\``)
  })

  it.each(ours)('runs %s as the command line knows it', async (_name, { command = imageCommand }) => {
    const [program, ...rest] = command
    const [entry, name = '', ...args] = rest.filter((one) => !one.startsWith('--max'))
    expect([program, entry]).toEqual(['node', 'dist/main.js'])
    const { spec } = (await import(`../../src/cli/${name}.ts`)) as { spec: Spec }
    expect(() => readInput(spec, args)!.check()).not.toThrow()
  })

  it.each(ours)('gives %s an environment that the service takes', (name, { environment = {} }) => {
    const texts = Object.entries(environment).map(([key, value]) => [key, String(value)] as const)
    const config = loadConfig(
      serviceEnvironment({ ...Object.fromEntries(texts), HOST: imageEnvironment['HOST'] }),
    )
    if (name === 'simulator') {
      expect(texts).toEqual([])
      return
    }
    expect(config.role).toBe(name === 'migrate' ? 'all' : name)
    for (const [key] of texts) expect(configTable()).toContain(`| \`${key}\``)
    const { username, password, hostname, pathname } = new URL(config.databaseUrl!)
    const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = services[hostname]!.environment!
    expect([username, password, pathname]).toEqual([POSTGRES_USER, POSTGRES_PASSWORD, `/${POSTGRES_DB!}`])
  })

  it('is for an image that has all that the service reads', () => {
    const copied = instructions('COPY').map((line) => line.replace('--from=build ', '').split(' '))
    const context = instructions('COPY').filter((line) => !line.startsWith('--from'))
    const allowed = read('.dockerignore').trim().split('\n')
    for (const source of context.flatMap((line) => line.split(' ').slice(0, -1))) {
      expect(existsSync(resolve(root, source)), source).toBe(true)
      expect(allowed).toContain(`!${source.replace('./', '')}`)
    }
    const inImage = copied.map(
      (parts) => parts.at(-1)! + (parts.at(-1) === './' ? parts[0]!.split('/').at(-1)! : ''),
    )
    const asked = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
      [...read(file).matchAll(/new URL\('((?:\.\.\/)+[\w.-]+)'/g)].map(([, path = '']) =>
        resolve(root, file, '..', path),
      ),
    )
    expect(new Set(asked).size).toBeGreaterThan(1)
    for (const path of [...asked, resolve(root, 'dist'), resolve(root, 'node_modules')])
      expect(inImage.map((one) => resolve(root, one))).toContain(path)
  })
})

/** What an engine says of a container. */
interface Container {
  Config: { Labels: Record<string, string> }
  State: { ExitCode: number; Running: boolean; Health?: { Status: string } }
}

/** The snippet of the page, run under a name, with ports and an image of its own. */
class ComposeRun {
  readonly said: string[] = []
  readonly env: NodeJS.ProcessEnv
  readonly child: ChildProcess
  readonly ended: Promise<unknown>

  constructor(folder: string, variables: Record<string, string>) {
    // What the file would take from this shell stays out, so that its own defaults are tried.
    const taken = [...composeFile.matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
    this.env = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !taken.includes(name))),
      ...variables,
      COMPOSE_DISABLE_ENV_FILE: '1',
      COMPOSE_PROJECT_NAME: imageName,
      COMPOSE_PATH_SEPARATOR: ':',
      COMPOSE_FILE: `${resolve(root, 'docker-compose.yml')}:${join(folder, 'override.yml')}`,
    }
    const [, snippet = ''] = /^```sh\n(docker compose .*?)^```$/ms.exec(page) ?? []
    // A process group of its own, which can be ended as a whole.
    this.child = spawn('sh', ['-c', snippet], { cwd: root, env: this.env, detached: true })
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', (chunk: string) => this.said.push(chunk))
    this.ended = once(this.child, 'close')
  }

  async docker(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('docker', args, {
      cwd: root,
      env: this.env,
      maxBuffer: 2 ** 26,
    })
    return stdout
  }

  /** Every container of the project, by its service. */
  async containers(): Promise<[service: string, Container][]> {
    const ids = (await this.docker('compose', 'ps', '--all', '--quiet')).split('\n').filter(Boolean)
    const found = ids.length === 0 ? [] : (JSON.parse(await this.docker('inspect', ...ids)) as Container[])
    return found.map((one) => [one.Config.Labels['com.docker.compose.service'] ?? '', one])
  }

  /** Ends all of it, as asked from another terminal: the call that brought it up ends with it. */
  async stop(): Promise<void> {
    await this.docker('compose', 'stop')
    await this.ended
  }

  /** Removes everything that was made, however far it went. */
  async remove(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null)
      process.kill(-this.child.pid!, 'SIGKILL')
    await this.ended
    await this.docker('compose', 'down', '--volumes')
    await this.docker('image', 'rm', '--force', imageName)
  }
}

/** Milliseconds that the build may take on a machine that is busy with other things. */
const BUILD_MS = 900_000
const imageName = `writeback-docs-${process.pid}`

/** A port that nobody listens on. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return String(port)
}

// Needs a container engine, which not every machine has: npm run test:containers.
describe.runIf(process.env['TEST_CONTAINERS'] === '1')('docker compose up --build', () => {
  it(
    'brings up all of it, and a write goes through to the org',
    { timeout: BUILD_MS + 180_000 },
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'compose-test-'))
      const own = ours.map(([name]) => `  ${name}: { image: ${imageName} }`)
      await writeFile(join(folder, 'override.yml'), ['services:', ...own, ''].join('\n'))
      const port = await freePort()
      const run = new ComposeRun(folder, { WRITEBACK_PORT: port, SIMULATOR_PORT: await freePort() })
      try {
        const url = `http://127.0.0.1:${port}`
        // The image is built first: until it answers, asking the engine would only take the build's processor.
        await waitUntil(() => isReady(run, url), { timeoutMs: BUILD_MS, what: '/readyz' })
        await waitUntil(() => isUp(run), { timeoutMs: 60_000, what: 'all services' })
        await writeOne(url)
        await run.stop()
        const codes = (await run.containers()).map(([name, { State }]) => `${name} ${State.ExitCode}`)
        expect(codes.sort(), run.said.join('')).toEqual([
          'api 0',
          'migrate 0',
          'postgres 0',
          'simulator 0',
          'worker 0',
          'worker 0',
        ])
      } finally {
        await run.remove()
      }
      expect(await run.containers()).toEqual([])
      await rm(folder, { recursive: true, force: true })
    },
  )
})

async function isReady({ child, said }: ComposeRun, url: string): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`it ended: ${said.join('')}`)
  return fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** Whether every service runs, and those that can tell say that they are well. */
async function isUp(run: ComposeRun): Promise<boolean> {
  const found = await run.containers()
  const isWell = ([name, { State }]: [string, Container]): boolean =>
    name === 'migrate'
      ? !State.Running && State.ExitCode === 0
      : State.Running && (name === 'simulator' || State.Health?.Status === 'healthy')
  return found.length === 6 && found.every(isWell)
}

/** An asynchronous write through the port that is published, with the key and the org that the page names. */
async function writeOne(url: string): Promise<void> {
  const client = createClient(url, AbortSignal.timeout(120_000))
  try {
    const admin = client.as('for-trying-out-only')
    expect((await admin('GET', '/readyz')).status).toBe(200)
    const project = await createProject(admin)
    const groupRef = 'customer'
    await addCustomer(admin, project, { groupRef, orgUrl: 'http://simulator:8090', write: {} })
    const write = { groupRef, type: 'create', mode: 'asynchronous', record: { LastName: 'Ngata' } }
    const accepted = await client.as(project.key)('POST', writePath(project, 'Contact'), write)
    expect(accepted).toMatchObject({ status: 200 })
    const { operationId } = accepted.body as { operationId: string }
    const operation = await admin(
      'GET',
      `/v1/projects/${project.projectId}/operations/${operationId}?wait=30`,
    )
    expect(operation.body).toMatchObject({ status: 'success', metadata: { state: 'succeeded' } })
  } finally {
    client.close()
  }
}
