import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

/** A project that has nothing but the packed package installed. */
export interface PackedProject {
  /** Its folder. */
  folder: string
  /** The package in it. */
  packageFolder: string
  /** What the package holds, as npm lists it. */
  files: string[]
  /** Runs a file of the project, or a program of the package, to its end. */
  node: (args: string[], env?: Record<string, string>) => Promise<{ stdout: string; stderr: string }>
  /** Starts one and gives its lines as they come. */
  start: (
    args: string[],
    env?: Record<string, string>,
  ) => { child: ChildProcess; line: (part: string) => Promise<string> }
  remove: () => Promise<void>
}

/** Programs get no more of this process's environment than they need to run. */
const environment = (env: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  ...env,
})

/**
 * Builds the package, packs it and installs what came of it, without the network: its dependencies are those of
 * this repository. The types are not checked while it is built; that is done elsewhere.
 */
export async function installPacked(): Promise<PackedProject> {
  const folder = await mkdtemp(join(tmpdir(), 'writeback-packed-'))
  const staging = join(folder, 'staging')
  await mkdir(staging)
  for (const name of [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'migrations',
    'docs',
    'examples',
  ])
    await cp(join(root, name), join(staging, name), { recursive: true })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const build = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(staging, 'dist'), '--noCheck']
  await run(process.execPath, build, { env: environment() })
  const packing = ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', folder]
  const home = { HOME: folder, npm_config_cache: join(folder, 'cache') }
  const packed = await run('npm', packing, { cwd: staging, env: environment(home), maxBuffer: 1e8 })
  const [tarball] = JSON.parse(packed.stdout) as { filename: string; files: { path: string }[] }[]
  if (tarball === undefined) throw new Error(`npm pack said nothing: ${packed.stderr}`)

  const modules = join(folder, 'node_modules')
  const packageFolder = join(modules, 'writeback')
  await mkdir(packageFolder, { recursive: true })
  await run('tar', ['-xzf', join(folder, tarball.filename), '-C', packageFolder, '--strip-components=1'])
  await symlink(join(root, 'node_modules'), join(packageFolder, 'node_modules'))
  await symlink(join(root, 'node_modules/@types'), join(modules, '@types'))
  await mkdir(join(modules, '.bin'))
  await symlink('../writeback/dist/main.js', join(modules, '.bin/writeback'))
  await chmod(join(packageFolder, 'dist/main.js'), 0o755)
  await cp(join(packageFolder, 'examples'), folder, { recursive: true })
  await rm(staging, { recursive: true })

  return {
    folder,
    packageFolder,
    files: tarball.files.map((file) => file.path),
    node: (args, env) => run(process.execPath, args, { cwd: folder, env: environment(env) }),
    start: (args, env) => {
      const child = spawn(process.execPath, args, {
        cwd: folder,
        env: environment(env),
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      return { child, line: followLines(child) }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Resolves with the first line of its output that has a part; rejects when the program ends before. */
function followLines(child: ChildProcess): (part: string) => Promise<string> {
  const lines: string[] = []
  const waiting = new Set<() => void>()
  let hasEnded = false
  const wake = (): void => {
    for (const look of waiting) look()
  }
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null)
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        wake()
      })
  child.once('close', () => {
    hasEnded = true
    wake()
  })
  return (part) =>
    new Promise((found, failed) => {
      const look = (): void => {
        const line = lines.find((one) => one.includes(part))
        if (line === undefined && !hasEnded) return
        waiting.delete(look)
        if (line === undefined) failed(new Error(`it ended without a line with ${part}: ${lines.join('\n')}`))
        else found(line)
      }
      waiting.add(look)
      look()
    })
}

/** Names of the example programs. */
export const exampleFiles = async (): Promise<string[]> =>
  (await readdir(join(root, 'examples'))).filter((name) => /\.[jt]s$/.test(name)).sort()
