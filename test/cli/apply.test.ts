import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { ADMIN_KEY, caller, startService, type Service } from '../support/service.ts'
import { cli, cliHere, type CliOptions, type Ended } from './cli-process.ts'

const example = join(import.meta.dirname, '../../examples/setup.yaml')

let service: Service
let folder: string
let projects = 0
/** The name of this test's project. */
let name: string

beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'apply-test-'))
  projects += 1
  name = `shop-${projects}`
  const before = process.cwd()
  process.chdir(folder)
  return () => {
    process.chdir(before)
    return rm(folder, { recursive: true, force: true })
  }
})

const environment = (): Record<string, string> => ({
  WRITEBACK_URL: service.app.url,
  WRITEBACK_API_KEY: ADMIN_KEY,
  SF_SECRET: 'demo-secret',
  SF_LOGIN_URL: service.simulator.url,
})

/** Runs `writeback apply` on files of the test's folder. */
const apply = (args: string[], { env, input }: CliOptions = {}): Promise<Ended> =>
  cliHere(['apply', ...args], {
    env: { ...environment(), ...env },
    ...(input === undefined ? {} : { input }),
  })

const connection = (groupRef: string): object => ({
  groupRef,
  provider: 'salesforce',
  credentials: {
    type: 'oauth2-client-credentials',
    clientId: 'writeback-demo',
    clientSecret: '${SF_SECRET}',
    loginUrl: '${SF_LOGIN_URL}',
  },
})
const installation = (groupRef: string, write: object = {}): object => ({
  groupRef,
  config: { content: { provider: 'salesforce', write } },
})
const crm = (...installations: object[]): object => ({ name: 'crm', provider: 'salesforce', installations })

/** Writes a set-up file with one project; answers with its name. */
async function setup(project: object, file = 'setup.yaml'): Promise<string> {
  await writeFile(join(folder, file), stringify({ projects: [{ name, ...project }] }))
  return file
}

const get = async (path: string): Promise<Record<string, unknown>> =>
  (await caller(service.app.url)('GET', `/v1/projects/${name}${path}`)).body

const namesOf = (answer: Record<string, unknown>, field: string): unknown[] =>
  (answer['results'] as Record<string, unknown>[]).map((one) => one[field]).sort()

describe('apply', () => {
  it('makes what a file says, and the second time there are no changes', async () => {
    const file = await setup({
      apiKeys: [
        { label: 'kept', scopes: ['write', 'read'], file: 'kept.key' },
        { label: 'shown', scopes: ['read'] },
      ],
      connections: [connection('one')],
      integrations: [crm(installation('one'))],
    })
    const check = await apply(['-f', file, '--check'])
    expect(check).toMatchObject({ code: 6, stderr: '' })
    const first = await apply(['-f', file])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const changes = [
      `+ project ${name}`,
      `+ ${name}: integration crm`,
      `+ ${name}: connection one`,
      `+ ${name}: API key kept`,
      `+ ${name}: API key shown`,
      `+ ${name}: installation crm/one`,
    ]
    expect(check.stdout.split('\n')).toEqual([...changes, '6 to create, 0 to change, 0 to delete', ''])
    const [, shown] = /API key shown: (\S+) \(shown this once\)/.exec(first.stdout)!
    expect(first.stdout.split('\n')).toEqual([
      ...changes,
      `${name}: API key shown: ${shown!} (shown this once)`,
      '6 created, 0 changed, 0 deleted',
      '',
    ])
    const kept = join(folder, 'kept.key')
    expect((await stat(kept)).mode & 0o777).toBe(0o600)
    for (const [key, status] of [
      [(await readFile(kept, 'utf8')).trim(), 400],
      [shown!, 403],
    ] as const) {
      const answer = await caller(service.app.url, key)(
        'POST',
        `/v1/projects/${name}/integrations/crm/objects/X`,
        {},
      )
      expect(answer.status).toBe(status)
    }
    const [again, asJson] = await Promise.all([apply(['-f', file]), apply(['-f', file, '--check', '--json'])])
    expect(again).toEqual({ code: 0, stdout: 'no changes\n', stderr: '' })
    expect(asJson.code).toBe(0)
    expect(JSON.parse(asJson.stdout)).toEqual({ changes: [], notes: [], isCheck: true })
  })

  it('shows what changes field by field, and never what holds a variable', async () => {
    const keys = (scopes: string[]): object => ({ apiKeys: [{ label: 'ops', scopes }] })
    const write = (packing: string, title: string): object => ({
      packing,
      objects: {
        Contact: {
          objectName: 'Contact',
          selectedFieldSettings: { Title: { default: { stringValue: title } } },
        },
      },
    })
    const base = { connections: [connection('one')] }
    await setup({ ...base, ...keys(['read']), integrations: [crm(installation('one', write('none', 'Dr')))] })
    expect((await apply(['-f', 'setup.yaml'])).code).toBe(0)
    await setup({
      ...base,
      ...keys(['read', 'write']),
      integrations: [crm(installation('one', { ...write('ready', '${TITLE}'), apiBudgetPercent: 50 }))],
    })
    const env = { TITLE: 'a-secret-title' }
    const changed = await apply(['-f', 'setup.yaml'], { env })
    expect(changed).toMatchObject({ code: 0, stderr: '' })
    expect(changed.stdout.split('\n')).toEqual([
      `~ ${name}: API key ops`,
      '    scopes: ["read"] → ["read","write"]',
      `~ ${name}: installation crm/one`,
      '    config.content.write.objects.Contact.selectedFieldSettings.Title.default.stringValue: (hidden)',
      '    config.content.write.packing: "none" → "ready"',
      '    config.content.write.apiBudgetPercent: (none) → 50',
      '0 created, 2 changed, 0 deleted',
      '',
    ])
    const { results } = (await get('/integrations/crm/installations')) as { results: object[] }
    expect(JSON.stringify(results)).toContain('a-secret-title')
    expect(await apply(['-f', 'setup.yaml'], { env })).toMatchObject({ stdout: 'no changes\n' })
  })

  it('deletes what the files do not name only with --prune, and only of lists that they have', async () => {
    await setup({
      apiKeys: [{ label: 'one', scopes: ['read'] }],
      connections: [connection('one'), connection('two')],
      integrations: [crm(installation('one'), installation('two')), { name: 'old', provider: 'salesforce' }],
    })
    expect((await apply(['-f', 'setup.yaml'])).code).toBe(0)
    await setup({ connections: [connection('one')], integrations: [crm(installation('one'))] })
    const kept = await apply(['-f', 'setup.yaml'])
    expect(kept).toMatchObject({ code: 0, stdout: 'no changes\n' })
    expect(kept.stderr).toContain('--prune deletes what they do not name')
    await setup({
      integrations: [crm(installation('one'), installation('two')), { name: 'old', provider: 'salesforce' }],
    })
    expect(await apply(['-f', 'setup.yaml', '--prune'])).toEqual({
      code: 0,
      stdout: 'no changes\n',
      stderr: '',
    })
    await setup({ connections: [connection('one')], integrations: [crm(installation('one'))] })
    const pruned = await apply(['-f', 'setup.yaml', '--prune'])
    expect(pruned).toMatchObject({ code: 0, stderr: '' })
    expect(pruned.stdout.split('\n')).toEqual([
      `- ${name}: installation crm/two`,
      `- ${name}: connection two`,
      `- ${name}: integration old`,
      '0 created, 0 changed, 3 deleted',
      '',
    ])
    const [keys, connections, integrations] = await Promise.all(
      ['/api-keys', '/connections', '/integrations'].map(get),
    )
    expect(namesOf(keys!, 'label')).toEqual(['one'])
    expect(namesOf(connections!, 'groupRef')).toEqual(['one'])
    expect(namesOf(integrations!, 'name')).toEqual(['crm'])
  })

  it('tells before anything is done of what looks like a new name for something that is there', async () => {
    const destination = { name: 'outcomes', type: 'webhook', metadata: { url: 'http://127.0.0.1:9/' } }
    const key = { label: 'ops', scopes: ['read'] }
    const before = { apiKeys: [key], destinations: [destination], integrations: [crm()] }
    await setup(before)
    expect(await apply(['-f', 'setup.yaml'])).toMatchObject({ code: 0, stderr: '' })
    // More of them is no new name.
    await setup({ ...before, apiKeys: [key, { ...key, label: 'more' }] })
    expect(await apply(['-f', 'setup.yaml'])).toMatchObject({ code: 0, stderr: '' })
    await setup({ ...before, apiKeys: [key], integrations: [{ ...crm(), name: 'crm-eu' }] })
    const checked = await apply(['-f', 'setup.yaml', '--check'])
    expect(checked.code).toBe(6)
    expect(checked.stderr).toContain(
      `a new integration (crm-eu), and one that the files do not name any more (crm). If that is a new name for the same thing: apply makes a second one.`,
    )
    expect(checked.stderr).not.toContain('a new API key')
    const pruned = await apply(['-f', 'setup.yaml', '--check', '--prune', '--json'])
    const { notes } = JSON.parse(pruned.stdout) as { notes: string[] }
    expect(notes).toEqual([
      expect.stringContaining('apply makes a second one and deletes the first') as string,
    ])
    expect(namesOf(await get('/integrations'), 'name')).toEqual(['crm'])
  })

  it('leaves credentials alone until it is told that they are others', async () => {
    const file = await setup({ connections: [connection('one'), connection('two')] })
    await apply(['-f', file])
    const idOf = async (): Promise<unknown> => (await get('/connections'))['results']
    const before = await idOf()
    expect((await apply(['-f', file], { env: { SF_SECRET: 'another' } })).stdout).toBe('no changes\n')
    const replaced = await apply(['-f', file, '--replace-credentials', 'two'], {
      env: { SF_SECRET: 'another' },
    })
    expect(replaced.stdout).toBe(
      `~ ${name}: connection two\n    credentials: (hidden)\n0 created, 1 changed, 0 deleted\n`,
    )
    expect(await idOf()).toEqual(before)
    const unknown = await apply(['-f', file, '--replace-credentials', 'three'])
    expect(unknown).toMatchObject({ code: 2, stdout: '' })
    expect(unknown.stderr).toContain('the files have no connection of "three"')
  })

  it('puts several files together, YAML and JSON, one of them from standard input', async () => {
    const one = await setup({ connections: [connection('one')], integrations: [crm(installation('one'))] })
    const two = JSON.stringify({
      projects: [{ name, connections: [connection('two')], integrations: [crm(installation('two'))] }],
    })
    const done = await apply(['-f', one, '-f', '-'], { input: two })
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toContain('6 created')
    const twice = await apply(['-f', one, '-f', '-'], {
      input: JSON.stringify({ projects: [{ name, connections: [connection('one')] }] }),
    })
    expect(twice.code).toBe(2)
    expect(twice.stderr).toBe(
      'writeback: standard input:1: /projects/0/connections/0/groupRef is there already in setup.yaml:4\nNothing was changed.\n',
    )
  })

  it('names everything that is wrong with the files, with lines, before anything is done', async () => {
    const text = `projects:
  - name: ${name}
    apiKeys:
      - label: a
        scopes: [wrte]
    connections:
      - groupRef: one
        provider: salesforce
        credentials:
          type: oauth2-client-credentials
          clientId: x
          clientSecret: \${NOT_SET}
          loginUrl: http://127.0.0.1:1
    integrations:
      - name: crm
        provider: salesforce
        colour: red
        installations:
          - groupRef: one
            config: {content: {provider: salesforce, write: {objects: {
              Contact: {objectName: Contakt}}}}}
          - groupRef: one
`
    await writeFile(join(folder, 'bad.yaml'), text)
    await writeFile(join(folder, 'worse.yaml'), 'projects: [\n  {name: a\n')
    const bad = await apply(['-f', 'bad.yaml', '-f', 'worse.yaml', '-f', 'missing.yaml'])
    expect(bad).toMatchObject({ code: 2, stdout: '' })
    const lines = bad.stderr.replace('writeback: ', '').split('\n')
    const base = '/projects/0/integrations/0'
    expect(lines).toEqual(
      expect.arrayContaining([
        'bad.yaml:5: /projects/0/apiKeys/0/scopes/0 must be one of: write, read, admin',
        `bad.yaml:17: ${base}/colour is not a known field`,
        `bad.yaml:21: ${base}/installations/0/config/content/write/objects/Contact/objectName must be the same as its key: Contact`,
        `bad.yaml:22: ${base}/installations/1/config is required`,
        'Nothing was changed.',
      ]),
    )
    expect(bad.stderr).toContain(
      'bad.yaml:12: /projects/0/connections/0/credentials/clientSecret needs the variable NOT_SET, which is not set',
    )
    expect(bad.stderr).toMatch(/^worse\.yaml:\d: \S/m)
    expect(bad.stderr).toMatch(/^missing\.yaml:1: cannot be read/m)
    expect(lines, bad.stderr).toHaveLength(10)
    expect((await get('')).status).toBe(404)
  })

  it('says what the service does not allow before anything is done', async () => {
    await writeFile(join(folder, 'there.key'), 'x')
    const file = await setup({
      apiKeys: [
        { label: 'a', scopes: ['read'], file: 'there.key' },
        { label: 'b', scopes: ['read'], file: 'no/where.key' },
      ],
      integrations: [crm(installation('nobody'))],
    })
    const refused = await apply(['-f', file])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/^writeback: setup\.yaml:7: .*there\.key is there already/)
    expect(refused.stderr).toMatch(/^setup\.yaml:11: .*no\/where\.key is in a folder that is not there/m)
    expect(refused.stderr).toMatch(/^setup\.yaml:16: .*has no connection to salesforce/m)
    expect((await get('')).status).toBe(404)
  })

  it('tells what was done and what was not when a call fails, and does the rest when called again', async () => {
    const file = await setup({
      connections: [connection('one'), connection('two')],
      integrations: [crm(installation('one'))],
    })
    await caller(service.app.url)('POST', '/v1/projects', { name })
    const { body } = await caller(service.app.url)<{ key: string }>('POST', `/v1/projects/${name}/api-keys`, {
      label: 'setup',
      scopes: ['admin'],
    })
    const asProject = { env: { WRITEBACK_API_KEY: body.key } }
    // The key belongs to this project and may not make another one.
    await writeFile(
      join(folder, 'two.yaml'),
      stringify({ projects: [{ name: `${name}-other`, connections: [connection('x')] }] }),
    )
    const partly = await apply(['-f', file, '-f', 'two.yaml'], asProject)
    expect(partly.code).toBe(7)
    expect(partly.stdout).toContain('4 created, 0 changed, 0 deleted')
    expect(partly.stdout).toContain(
      `not done: create project ${name}-other; create ${name}-other: connection x`,
    )
    expect(partly.stderr).toMatch(/^writeback: Only the admin key may do this\./)
    const rest = await apply(['-f', file, '-f', 'two.yaml', '--json'])
    expect(rest.code).toBe(0)
    const { changes } = JSON.parse(rest.stdout) as { changes: { kind: string; isDone: boolean }[] }
    expect(changes.map(({ kind, isDone }) => [kind, isDone])).toEqual([
      ['project', true],
      ['connection', true],
    ])
  })

  it('makes destinations, keeps their secrets in files, and changes them', async () => {
    const destination = (metadata: object, enabled?: boolean): object => ({
      destinations: [
        {
          name: 'outcomes',
          type: 'webhook',
          metadata,
          secretFile: 'hook.secret',
          ...(enabled === undefined ? {} : { enabled }),
        },
      ],
    })
    const url = 'http://127.0.0.1:1/hook'
    const file = await setup(destination({ url, digest: { maxRecords: 10, maxDelaySeconds: 5 } }))
    const made = await apply(['-f', file])
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(await readFile(join(folder, 'hook.secret'), 'utf8')).toMatch(/^whsec_\S+\n$/)
    expect(made.stdout).not.toContain('whsec_')
    await setup(destination({ url: `${url}/2` }, false))
    const changed = await apply(['-f', file])
    expect(changed.stdout.split('\n')).toEqual([
      `~ ${name}: destination outcomes`,
      `    metadata.url: "${url}" → "${url}/2"`,
      '    metadata.digest.maxRecords: 10 → (none)',
      '    metadata.digest.maxDelaySeconds: 5 → (none)',
      '    enabled: true → false',
      '0 created, 1 changed, 0 deleted',
      '',
    ])
    expect((await apply(['-f', file])).stdout).toBe('no changes\n')
    const [is] = (await get('/destinations'))['results'] as Record<string, unknown>[]
    expect(is).toMatchObject({ enabled: false, metadata: { url: `${url}/2` } })
  })

  it('takes the procedures of an object, and names what is wrong with one', async () => {
    const withProcedures = (procedures: object): Promise<string> => {
      const objects = { Opportunity: { objectName: 'Opportunity', procedures } }
      const integrations = [crm(installation('one', { objects }))]
      return setup({ connections: [connection('one')], integrations })
    }
    const values = { StageName: 'Closed Won', IsPrivate: false }
    const file = await withProcedures({ Close: { fields: ['Amount'], values } })
    expect(await apply(['-f', file])).toMatchObject({ code: 0, stderr: '' })
    expect((await apply(['-f', file])).stdout).toBe('no changes\n')
    await withProcedures({ Close: { fields: ['Amount', 'NextStep'], values, mode: 'asynchronous' } })
    const base = 'config.content.write.objects.Opportunity.procedures.Close'
    expect((await apply(['-f', file])).stdout.split('\n')).toEqual([
      `~ ${name}: installation crm/one`,
      `    ${base}.fields: ["Amount"] → ["Amount","NextStep"]`,
      `    ${base}.mode: (none) → "asynchronous"`,
      '0 created, 1 changed, 0 deleted',
      '',
    ])
    await withProcedures({ Close: { field: ['Amount'] } })
    const wrong = await apply(['-f', file])
    expect(wrong).toMatchObject({ code: 2, stdout: '' })
    expect(wrong.stderr).toContain('/procedures/Close/field is not a known field')
  })

  it('applies the example', async () => {
    const text = (await readFile(example, 'utf8')).replace('name: acme', `name: ${name}`)
    await writeFile(join(folder, 'example.yaml'), text)
    const env = { SF_CLIENT_ID: 'writeback-demo', SF_CLIENT_SECRET: 'demo-secret' }
    // As a user does, in a process of its own.
    const own = { cwd: folder, env: { ...environment(), ...env } }
    const done = await cli(['apply', '-f', 'example.yaml'], own)
    expect(done.code, done.stderr).toBe(0)
    expect((await apply(['-f', 'example.yaml'], { env })).stdout).toBe('no changes\n')
    const key = (await readFile(join(folder, 'acme-billing.key'), 'utf8')).trim()
    const answer = await caller(service.app.url, key)(
      'POST',
      `/v1/projects/${name}/integrations/crm/objects/company`,
      {
        groupRef: 'customer-42',
        type: 'create',
        record: { Name: 'By file', website: 'https://example.com' },
      },
    )
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  })
})
