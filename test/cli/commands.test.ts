import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Lane } from '../../src/contract/lane.ts'
import type { Operation } from '../../src/contract/operation.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'
import { cli, cliHere, startCli, type CliOptions, type Ended, type Running } from './cli-process.ts'
import { oneStory } from '../support/one-story.ts'

let service: Service
let folder: string
let env: Record<string, string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-test-'))
  const objects = { Contact: { objectName: 'Contact' }, Lead: { objectName: 'Lead' } }
  // Nothing rides along: what has a delay waits.
  service = await startService({}, {}, objects, { packing: 'none' })
  env = {
    WRITEBACK_URL: service.app.url,
    WRITEBACK_API_KEY: ADMIN_KEY,
    WRITEBACK_PROJECT: service.tenant.projectId,
    WRITEBACK_INTEGRATION: service.tenant.integrationId,
    WRITEBACK_GROUP: service.tenant.groupRef,
  }
})
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a command on the service under test, in this process. */
const wb = (args: string[], options: CliOptions = {}): Promise<Ended> =>
  cliHere(args, { ...options, env: { ...env, ...options.env } })
/** The same as a process of its own. */
const wbProcess = (args: string[], input?: string): Promise<Ended> =>
  cli(args, { env, ...(input === undefined ? {} : { input }) })
const wbStart = (args: string[]): Running => startCli(args, { env })

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- it says what the test expects, as the callers' own casts would
const json = <T = Record<string, unknown>>({ stdout }: Ended): T => JSON.parse(stdout) as T
const lines = ({ stdout }: Ended): Record<string, unknown>[] =>
  stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const contact = (name: string): string => JSON.stringify({ LastName: name })
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const isInOrg = (name: string): boolean =>
  [...service.simulator.org.table('Contact')!.live.values()].some(({ values }) => values['LastName'] === name)

describe('the command line', oneStory, () => {
  describe('write and status', () => {
    it('queues a record and prints its operation, which status follows to its end', async () => {
      const queued = await wbProcess([
        'write',
        'Contact',
        contact('Ngata'),
        '--delay',
        '0.2',
        '--reference',
        'row-1',
      ])
      expect(queued).toMatchObject({ code: 0, stderr: '' })
      const id = queued.stdout.trim()
      expect(id).toMatch(uuid)
      const [status, asJson] = await Promise.all([
        wbProcess(['status', id, '--wait']),
        wb(['status', id, '--wait', '--logs', '--json']),
      ])
      expect(status).toMatchObject({ code: 0, stderr: '' })
      expect(status.stdout).toMatch(new RegExp(`^${id} {2}succeeded {2}Contact\n {2}The record was created.`))
      expect(status.stdout).toContain('row-1')
      const operation = json<Operation & { logs: { message: { msg: string } }[] }>(asJson)
      expect(operation.metadata).toMatchObject({ state: 'succeeded', reference: 'row-1' })
      expect(operation.logs.length).toBeGreaterThan(2)
    })

    it('waits for the outcome, and its exit code says what it was', async () => {
      const [good, bad, slow] = await Promise.all([
        wb(['write', 'Contact', contact('Waited'), '--wait', '--json']),
        wb(['write', 'Contact', '{"FirstName": "No"}', '--wait']),
        wb([
          'write',
          'Lead',
          '{"LastName": "Slow", "Company": "C"}',
          '--delay',
          '600',
          '--wait',
          '--timeout',
          '1',
          '--json',
        ]),
      ])
      expect(good.code).toBe(0)
      expect(json<Operation>(good).metadata.state).toBe('succeeded')
      expect(bad.code).toBe(3)
      expect(bad.stdout).toContain('REQUIRED_FIELD_MISSING: Required fields are missing: [LastName]')
      expect(slow.code).toBe(5)
      const { id, metadata } = json<Operation>(slow)
      expect(metadata.state).toBe('queued')
      await service.tenant.call('POST', `/v1/projects/${service.tenant.projectId}/operations/${id}:cancel`)
      expect((await wb(['status', id])).code).toBe(3)
    })

    it('sends at once with --sync', async () => {
      const [good, bad] = await Promise.all([
        wb(['write', 'Contact', contact('AtOnce'), '--sync']),
        wbProcess(['write', 'Contact', '{"FirstName": "No"}', '--sync', '--json']),
      ])
      expect(good).toMatchObject({ code: 0, stderr: '' })
      expect(good.stdout).toMatch(/^\S+ {2}succeeded {2}003\w{15}\n$/)
      expect(bad.code).toBe(3)
      expect(json(bad)).toMatchObject({
        result: { success: false },
        errors: [{ code: 'REQUIRED_FIELD_MISSING' }],
      })
    })

    it('tells a write in doubt from one that failed', async () => {
      service.simulator.org.faults.add({
        match: { operation: 'collections.create' },
        action: { type: 'dropAfter' },
      })
      const doubtful = await wb(['write', 'Contact', contact('Doubtful'), '--wait', '--json'])
      expect(doubtful.code, doubtful.stdout + doubtful.stderr).toBe(4)
      const { id } = json<Operation>(doubtful)
      const several = await wb(['status', id, '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'])
      expect(several.code).toBe(4)
      expect(several.stdout).toMatch(new RegExp(`^OPERATION .*\n${id} {2}in doubt {2}Contact`))
      expect(several.stderr).toContain('There is no operation 0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11.')
      for (const line of several.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    })

    it('is coloured on a terminal only', async () => {
      vi.stubEnv('FORCE_COLOR', undefined)
      const written = await wb(['write', 'Contact', contact('Coloured'), '--wait'])
      const [id = ''] = written.stdout.split(' ')
      expect(written.stdout).not.toContain('\u001b[')
      const shown = await cliHere(['status', id], { env, isTerminal: true })
      expect(shown.stdout).toContain('\u001b[32msucceeded\u001b[39m')
      const asJson = await cliHere(['status', id, '--json'], { env, isTerminal: true })
      expect(asJson.stdout).not.toContain('\u001b[')
      vi.unstubAllEnvs()
    })

    it('repeats a call with the same key without writing twice', async () => {
      const args = ['write', 'Contact', contact('Keyed'), '--idempotency-key', 'keyed-1']
      const [first, second] = [await wb(args), await wb(args)]
      expect(first.code).toBe(0)
      expect(second.stdout).toBe(first.stdout)
    })

    it('takes many lines, names the bad ones and goes on with the others', async () => {
      const input = `${contact('Line1')}\n{"LastName":\n\n{"Nope": 1}\n${contact('Line5')}\n`
      const [text, asJson] = await Promise.all([
        wb(['write', 'Contact', '--wait'], { input }),
        wb(['write', 'Contact', '--json'], { input }),
      ])
      expect(text.code).toBe(3)
      expect(text.stdout).toMatch(
        /^4 writes: 3 queued, 1 refused, (2 succeeded, 1 failed|1 failed, 2 succeeded)\n$/,
      )
      expect(text.stderr).toContain('line 2: refused: The line is not JSON.')
      expect(text.stderr).toContain("line 4: failed: INVALID_FIELD: No such column 'Nope'")
      expect(asJson.code).toBe(3)
      const results = lines(asJson)
      expect(results.map(({ line }) => line)).toEqual([2, 1, 4, 5, undefined])
      expect(results[0]).toMatchObject({ problem: { code: 'INVALID_REQUEST' } })
      expect(results.at(-1)).toEqual({ summary: { writes: 4, queued: 3, refused: 1 } })
    })

    it('takes whole writes, and more than one call holds', async () => {
      const { groupRef } = service.tenant
      const write = (n: number): string =>
        JSON.stringify({
          groupRef,
          objectName: 'Lead',
          type: 'create',
          record: { LastName: `L${n}`, Company: 'C' },
        })
      const file = join(folder, 'writes.ndjson')
      await writeFile(file, Array.from({ length: 1_205 }, (_, n) => write(n)).join('\n'))
      const before = service.simulator.org.counts()['Lead'] ?? 0
      const done = await wb(['write', '--file', file, '--wait'])
      expect(done).toMatchObject({
        code: 0,
        stdout: '1,205 writes: 1,205 queued, 0 refused, 1,205 succeeded\n',
      })
      expect((service.simulator.org.counts()['Lead'] ?? 0) - before).toBe(1_205)
      // The same lines with the same keys are the same writes.
      const input = [1, 2, 3].map(write).join('\n')
      const args = ['write', '--idempotency-key', 'again', '--json']
      const [first, second] = [await wb(args, { input }), await wb(args, { input })]
      expect(second.stdout).toBe(first.stdout)
      expect(lines(first)).toHaveLength(4)
    })

    it('takes a record over several lines from standard input', async () => {
      const done = await wbProcess(['write', 'Contact', '--sync'], '{\n  "LastName": "Spread"\n}\n')
      expect(done).toMatchObject({ code: 0, stderr: '' })
      expect(isInOrg('Spread')).toBe(true)
    })

    it('refuses what is no write, before or after it asked the service', async () => {
      const [notJson, list, empty, noId, noObject] = await Promise.all([
        wb(['write', 'Contact', '{"LastName": ']),
        wb(['write', 'Contact'], { input: '[\n{}]' }),
        wb(['write', 'Contact'], { input: '\n' }),
        wb(['write', 'Contact', contact('x'), '--type', 'update']),
        wb(['write', 'Account', '{"Name": "x"}', '--json']),
      ])
      expect(notJson).toMatchObject({ code: 2, stdout: '' })
      expect(notJson.stderr).toMatch(/^writeback: RECORD is not JSON/)
      expect(list.stderr).toMatch(/^writeback: RECORD must be one JSON object: of many/)
      expect(empty.stderr).toMatch(/^writeback: RECORD is required: the input is empty/)
      expect([list.code, empty.code]).toEqual([2, 2])
      expect(noId.code).toBe(7)
      expect(noId.stderr).toContain('/record/id is required')
      expect(noObject.code).toBe(7)
      expect(noObject.stderr).toContain('403')
    })
  })

  describe('lanes and flush', () => {
    it('shows what waits and sends it', async () => {
      const queued = await wb(['write', 'Lead', '{"LastName": "Waits", "Company": "C"}', '--delay', '900'])
      const [text, asJson] = await Promise.all([wb(['lanes']), wb(['lanes', '--json'])])
      const { lanes } = json<{ lanes: (Lane & { groupRef: string })[] }>(asJson)
      const [lane] = lanes.filter(({ objectName }) => objectName === 'Lead')
      expect(lane).toMatchObject({ type: 'create', waiting: 1, groupRef: service.tenant.groupRef })
      expect(text.stdout).toMatch(new RegExp(`^${lane!.id} {2}Lead +create +1 {2}in 15 min$`, 'm'))
      for (const line of text.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
      const nothing = await wb(['flush', '--object', 'Account', '--json'])
      expect(json(nothing)).toEqual({ lanes: [] })
      const flushed = await wb(['flush', lane!.id])
      expect(flushed).toMatchObject({ code: 0, stderr: '' })
      expect(flushed.stdout).toContain('1 lane flushed')
      expect((await wb(['status', queued.stdout.trim(), '--wait'])).code).toBe(0)
    })

    it('names a lane and a customer that are not there', async () => {
      const [lane, group] = await Promise.all([
        wb(['flush', '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11']),
        wb(['lanes', '--group', 'nobody']),
      ])
      expect(lane).toMatchObject({ code: 7, stdout: '' })
      expect(lane.stderr).toMatch(/^writeback: There is no lane/)
      expect(group).toMatchObject({ code: 7, stdout: '' })
      expect(group.stderr).toContain('is not installed for the group "nobody"')
    })
  })

  describe('retry', () => {
    it('sends those of one code again, oldest first, after a dry run that sends nothing', async () => {
      const bad = '{"FirstName": "F", "Email": "retry"}'
      const failed = await wb(['write', 'Contact', '--lines', '--wait', '--json'], {
        input: `${bad}\n${bad}\n`,
      })
      expect(failed.code).toBe(3)
      const ids = lines(failed).flatMap(({ operationId }) =>
        typeof operationId === 'string' ? [operationId] : [],
      )
      const args = ['retry', '--failed', '--code', 'INVALID_EMAIL_ADDRESS']
      const [dry, unsure] = await Promise.all([wb([...args, '--dry-run', '--json']), wb(args)])
      expect(dry.code).toBe(0)
      expect(json(dry)).toMatchObject({
        matched: 2,
        retried: 0,
        byCode: { INVALID_EMAIL_ADDRESS: 2 },
        isDryRun: true,
      })
      expect(unsure).toMatchObject({ code: 2, stdout: '' })
      expect(unsure.stderr).toMatch(/^writeback: --yes is required where nobody can be asked/)
      // At the end of the input nobody has said yes.
      for (const input of ['n\n', '']) {
        const asked = await cliHere(args, { env, input, isTerminal: true })
        expect(asked).toMatchObject({ code: 0, stdout: expect.not.stringContaining('again') as string })
        expect(asked.stderr).toBe('Send 2 operations again? [y/N] Nothing was sent.\n')
      }
      const done = await cliHere(args, { env, input: 'yes\n', isTerminal: true })
      expect(done).toMatchObject({ code: 0, stderr: 'Send 2 operations again? [y/N] ' })
      expect(done.stdout).toContain('2 operations sent again')
      for (const id of ids) {
        const { metadata } = await service.tenant.operation(id)
        expect(metadata.retry.attempts).toBe(2)
      }
      const unasked = await wb([...args, '--yes'])
      expect(unasked).toMatchObject({ code: 0, stderr: '' })
      expect(unasked.stdout).toContain('2 operations sent again')
      const nothing = await wb(['retry', '--failed', '--code', 'NO_SUCH_CODE', '--yes'])
      expect(nothing).toMatchObject({ code: 0, stdout: 'Nothing to retry.\n' })
    })

    it('says which could not be', async () => {
      const good = await wb(['write', 'Contact', contact('Fine'), '--wait', '--json'])
      const { id } = json<Operation>(good)
      const done = await wb(['retry', id, '--json'])
      expect(done.code).toBe(7)
      expect(json(done)).toMatchObject({ retried: 0, refused: [{ operationId: id }] })
    })
  })

  describe('keys', () => {
    it('creates, lists and revokes', async () => {
      const file = join(folder, 'new.key')
      const [shown, kept] = [
        await wb(['keys', 'create', 'shown key', '--scope', 'read']),
        await wb([
          'keys',
          'create',
          'kept key',
          '--scope',
          'write',
          '--scope',
          'read',
          '--out',
          file,
          '--json',
        ]),
      ]
      const key = shown.stdout.trim()
      expect(shown.code).toBe(0)
      expect(shown.stderr).not.toContain(key)
      expect(json(kept)).toMatchObject({ label: 'kept key', scopes: ['write', 'read'], file })
      expect(kept.stdout).not.toContain((await readFile(file, 'utf8')).trim())
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      const withKey = (key: string): CliOptions => ({ env: { WRITEBACK_API_KEY: key } })
      const [listed, lacking, again] = await Promise.all([
        wb(['keys', 'list', '--key-file', file], withKey('wrong')),
        wb(['write', 'Contact', contact('x')], withKey(key)),
        wb(['keys', 'create', 'other', '--scope', 'read', '--out', file]),
      ])
      expect(listed.code).toBe(0)
      expect(listed.stdout).toMatch(/^\S{36} {2}kept key +write read/m)
      expect(listed.stdout).not.toContain(key)
      expect(lacking.code).toBe(7)
      expect(lacking.stderr).toContain('lacks the scope write')
      expect(again.code).toBe(1)
      expect(again.stderr).toContain('is there already')
      const revoked = await wb(['keys', 'revoke', 'shown key', 'kept key', '--json'])
      expect(json<{ revoked: unknown[] }>(revoked).revoked).toHaveLength(2)
      const refused = await wb(['lanes'], withKey(key))
      expect(refused.code).toBe(7)
      expect(refused.stderr).toContain('The API key is not valid.')
      expect(refused.stderr).toContain('The key came from WRITEBACK_API_KEY.')
      const gone = await wb(['keys', 'revoke', 'test', 'shown key'])
      expect(gone).toMatchObject({ code: 7, stdout: '' })
      expect((await service.tenant.call('GET', `/v1/projects/${service.tenant.projectId}`)).status).toBe(200)
    })
  })

  describe('connect', () => {
    const type = ['--type', 'oauth2-client-credentials', '--client-id', 'writeback-demo']
    const login = (): string[] => ['--login-url', service.simulator.url]

    it('makes a connection, then replaces its credentials, with secrets from where they are', async () => {
      const file = join(folder, 'secret')
      await writeFile(file, 'demo-secret\n')
      const credentials = JSON.stringify({
        type: 'oauth2-client-credentials',
        clientId: 'writeback-demo',
        clientSecret: 'demo-secret',
        loginUrl: service.simulator.url,
      })
      const group = ['--group', 'connected', '--json']
      const made = await wb(['connect', ...group, ...type, ...login(), '--client-secret', 'env:SF'], {
        env: { SF: 'demo-secret' },
      })
      expect(json(made)).toMatchObject({ groupRef: 'connected', status: 'working', isNew: true })
      const { id } = json<{ id: string }>(made)
      for (const [args, input] of [
        [['--client-secret', `file:${file}`, ...type, ...login()], undefined],
        [['--client-secret', '-', ...type, ...login()], 'demo-secret\n'],
        [['--credentials', '-'], credentials],
      ] as const) {
        const done = await wb(['connect', ...group, ...args], input === undefined ? {} : { input })
        expect(done.code, done.stderr).toBe(0)
        expect(json(done)).toMatchObject({ id, isNew: false })
      }
    })

    it('prints a link for the customer, and as JSON until when it can be used', async () => {
      const app = ['--client-id', 'writeback-demo', '--client-secret', 'env:SF']
      const args = ['connect', '--group', 'linked', '--link', ...app]
      const env = { SF: 'demo-secret' }
      const [text, asJson] = [
        await wb([...args, ...login(), '--return-url', 'https://app.example.com'], { env }),
        await wb([...args, '--json'], { env }),
      ]
      expect(text).toMatchObject({ code: 0, stderr: '' })
      const url = text.stdout.trim()
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/connect\/[\w-]{43}$/)
      expect(await (await fetch(url)).text()).toContain('Connect Salesforce')
      const { expireTime, ...rest } = json<{ id: string; url: string; expireTime: string }>(asJson)
      expect(Object.keys(rest)).toEqual(['id', 'url'])
      expect(Date.parse(expireTime)).toBeGreaterThan(Date.now())
      const refused = await wb([
        'connect',
        '--link',
        '--type',
        'access-token',
        '--username',
        'x',
        '--client-id',
        'y',
      ])
      expect(refused).toMatchObject({ code: 2, stdout: '' })
      expect(refused.stderr).toContain('--link and --type exclude each other\n--username is not for --link')
    })

    it('refuses a secret as an argument without repeating it', async () => {
      const refused = await wb([
        'connect',
        ...type,
        '--client-secret',
        'my-very-own',
        '--username',
        'x',
        '--nope',
      ])
      expect(refused).toMatchObject({ code: 2, stdout: '' })
      expect(refused.stderr.split('\n')).toEqual([
        'writeback: unknown option --nope',
        '--username is not for --type oauth2-client-credentials',
        '--login-url is required for --type oauth2-client-credentials',
        '--client-secret says where to read the secret (env:NAME, file:PATH or -), never the secret itself',
        'See writeback help connect.',
        '',
      ])
    })
  })

  describe('tail', () => {
    /** Goes on writing: a command that has just been started may begin to look after any of them has ended. */
    function writingOn(...records: object[]): { stop: () => void } {
      const write = async (): Promise<void> => {
        for (const record of records) await service.tenant.write('Contact', { type: 'create', record })
      }
      const timer = setInterval(() => void write().catch(() => undefined), 250)
      return { stop: () => clearInterval(timer) }
    }

    /** Ids of a failed write and of one in doubt, accepted an hour ago. */
    async function older(): Promise<{ failed: string; doubted: string }> {
      const { tenant, simulator, database } = service
      const failed = await tenant.write('Contact', { type: 'create', record: { FirstName: 'No' } })
      await tenant.operation(failed)
      simulator.org.faults.add({ match: { object: 'Contact' }, action: { type: 'dropAfter' } })
      const doubted = await tenant.write('Contact', { type: 'create', record: { LastName: 'Doubted' } })
      expect((await tenant.operation(doubted)).metadata.state).toBe('in_doubt')
      await database.sql`
      update write set accepted_at = accepted_at - interval '1 hour' where id in (${failed}, ${doubted})`
      return { failed, doubted }
    }

    it('shows every outcome once, also of what is moved by hand, and ends at Ctrl-C', async () => {
      const { failed, doubted } = await older()
      const one = wbStart(['tail', '--json', '--object', 'Contact'])
      const probing = writingOn({ LastName: 'Probe' })
      await one.says('"succeeded"')
      probing.stop()
      const byHand = (id: string, move: string, body?: object) =>
        service.tenant.call('POST', `/v1/projects/${service.tenant.projectId}/operations/${id}:${move}`, body)
      expect((await byHand(failed, 'retry')).status).toBe(200)
      expect((await byHand(doubted, 'resolve', { success: true })).status).toBe(200)
      for (const id of [failed, doubted]) await one.says(`"${id}"`)
      const input = Array.from({ length: 250 }, (_, n) => contact(`Tail${n}`)).join('\n')
      const written = await wb(['write', 'Contact', '--delay', '0.5', '--json'], { input })
      const ids = lines(written).flatMap(({ operationId }) =>
        typeof operationId === 'string' ? [operationId] : [],
      )
      for (const id of ids) await one.says(id)
      one.child.kill('SIGINT')
      const ended = await one.ended
      expect(ended).toMatchObject({ code: 130, stderr: '' })
      const told = lines(ended).map(({ id }) => id as string)
      expect(new Set(told).size).toBe(told.length)
      expect(ids).toHaveLength(250)
      expect(told).toEqual(expect.arrayContaining(ids))
    })

    it('shows what is asked for, and ends after so many or so long', async () => {
      const one = wbStart(['tail', '--status', 'failure', '--code', 'REQUIRED_FIELD_MISSING', '-n', '1'])
      const writing = writingOn({ LastName: 'Good' }, { FirstName: 'Bad' })
      const ended = await one.ended
      writing.stop()
      expect(ended.code).toBe(0)
      expect(ended.stdout).toMatch(
        /^\d\d:\d\d:\d\d {2}failed {5}\S{36} {2}Contact\n {21}REQUIRED_FIELD_MISSING: Required fields are missing: \[LastName\]\n$/,
      )
      expect(await wb(['tail', '--for', '0'])).toMatchObject({ code: 0, stdout: '' })
    })

    it('ends without a word when nobody reads any more', async () => {
      const one = wbStart(['tail'])
      one.child.stdout!.destroy()
      const writing = writingOn({ LastName: 'Unread' })
      const { code, stderr } = await one.ended
      writing.stop()
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    })
  })

  describe('the service', () => {
    it('that is not there, or is another one, is named', async () => {
      const other = createServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () =>
          socket.end(
            'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi',
          ),
        )
      })
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      const address = other.address() as { port: number }
      const [away, wrong, unset] = await Promise.all([
        wb(['lanes', '--url', 'http://127.0.0.1:1']),
        wb(['lanes', '--url', `http://127.0.0.1:${address.port}`]),
        cli(['lanes', '-p', 'x', '-i', 'y'], { cwd: folder }),
      ])
      other.close()
      expect(away).toMatchObject({ code: 1, stdout: '' })
      expect(away.stderr).toMatch(
        /^writeback: The service at http:\/\/127.0.0.1:1 could not be reached: .*\n$/,
      )
      expect(wrong.code).toBe(1)
      expect(wrong.stderr).toContain('is it a Writeback service that listens there?')
      expect(unset).toMatchObject({ code: 2, stdout: '' })
      expect(unset.stderr).toMatch(/^writeback: no API key: set WRITEBACK_API_KEY or give --key-file FILE/)
    })

    it('on this machine is called with the key of its data folder', async () => {
      await writeFile(join(folder, 'admin-key'), `${ADMIN_KEY}\n`)
      const local = { ...env, WRITEBACK_API_KEY: '', WRITEBACK_DATA_DIR: folder }
      const [here, elsewhere] = await Promise.all([
        cli(['keys', 'list', '--json'], { env: local }),
        cli(['keys', 'list'], { env: { ...local, WRITEBACK_URL: 'http://192.0.2.1:8080' } }),
      ])
      expect(here.code, here.stderr).toBe(0)
      expect(elsewhere.code).toBe(2)
      expect(elsewhere.stderr).toContain('no API key')
    })
  })
})
