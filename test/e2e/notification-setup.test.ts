import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp } from '../../src/app.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { keepingLogger } from '../api/harness.ts'
import { isSigned, startReceiver, type Receiver } from '../notify/receiver.ts'
import {
  appOptions,
  caller,
  createTenant,
  startService,
  type Service,
  type Tenant,
} from '../support/service.ts'
import { oneStory } from '../support/one-story.ts'

let service: Service
let at: Receiver
const { logger, lines } = keepingLogger()

const encryptionKey = randomBytes(32)

beforeAll(async () => {
  service = await startService({ logger, encryptionKey })
  at = await startReceiver()
})
afterAll(async () => {
  await at.close()
  await service.stop()
})

const admin = <T = Record<string, unknown>>(method: string, path: string, body?: unknown) =>
  caller(service.app.url)<T>(method, path, body)
const pathOf = ({ projectId }: Tenant): string => `/v1/projects/${projectId}/destinations`
const webhook = (name: string, metadata: Record<string, unknown> = { url: at.url }) => ({
  name,
  type: 'webhook',
  metadata,
})
interface Shown {
  id: string
  name: string
  secret?: string
}
/** Secrets that were shown in answers: nothing else may hold them. */
const secrets: string[] = []
async function make(
  body: Record<string, unknown>,
  path = pathOf(service.tenant),
): Promise<Shown & { secret: string }> {
  const answer = await admin<Shown & { secret: string }>('POST', path, body)
  expect(answer.status).toBe(201)
  secrets.push(answer.body.secret)
  return answer.body
}
async function refusal(method: string, path: string, body?: unknown) {
  const { status, body: problem } = await admin<Problem>(method, path, body)
  return {
    status,
    code: problem.code,
    issues: problem.issues?.map(({ path }) => path),
    detail: problem.detail,
  }
}

describe('the set-up of notifications', oneStory, () => {
  describe('destinations', () => {
    it('are made, shown, listed page by page, changed and deleted', async () => {
      const tenant = await createTenant(service.app.url, service.simulator.url)
      const path = pathOf(tenant)
      const answer = await admin<Shown & { secret: string }>('POST', path, webhook('outcomes'))
      const { id, secret } = answer.body
      secrets.push(secret)
      expect(answer.status).toBe(201)
      expect(answer.headers.get('location')).toBe(`${path}/${id}`)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.body).toEqual({
        id,
        name: 'outcomes',
        type: 'webhook',
        metadata: { url: at.url },
        enabled: true,
        secret,
        createTime: expect.any(String) as string,
      })
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
      const digest = { maxRecords: 50, maxDelaySeconds: 10 }
      const second = await make(webhook('digests', { url: at.url, digest }), path)
      const shown: Partial<Shown> = { ...answer.body }
      delete shown.secret
      expect((await admin('GET', `${path}/${id}`)).body).toEqual(shown)
      const first = await admin<{ results: Shown[]; pagination: { done: boolean; nextPageToken: string } }>(
        'GET',
        `${path}?pageSize=1`,
      )
      expect([first.body.results.map((one) => one.id), first.body.pagination.done]).toEqual([
        [second.id],
        false,
      ])
      const rest = await admin('GET', `${path}?pageSize=1&pageToken=${first.body.pagination.nextPageToken}`)
      expect(rest.body).toEqual({ results: [shown], pagination: { done: true } })
      const url = `${at.url}&more=1`
      const changed = await admin('PATCH', `${path}/${id}`, { name: 'renamed', metadata: { url, digest } })
      expect(changed.body).toEqual({ ...shown, name: 'renamed', metadata: { url, digest } })
      const single = await admin('PATCH', `${path}/${id}`, { metadata: { digest: null } })
      expect(single.body).toEqual({ ...shown, name: 'renamed', metadata: { url } })
      expect((await admin('DELETE', `${path}/${id}`)).status).toBe(204)
      for (const [method, body] of [['GET'], ['DELETE'], ['PATCH', { enabled: true }]] as const)
        expect(await refusal(method, `${path}/${id}`, body)).toMatchObject({ status: 404, code: 'NOT_FOUND' })
      for (const move of [':test', ':rotate-secret'])
        expect(await refusal('POST', `${path}/${id}${move}`)).toMatchObject({ status: 404 })
    })

    it('are refused by name of what is wrong, all of it at once', async () => {
      const path = pathOf(service.tenant)
      const of = async (body: unknown) => {
        const { status, code, issues } = await refusal('POST', path, body)
        expect([status, code]).toEqual([400, 'INVALID_REQUEST'])
        return issues?.sort()
      }
      expect(await of({})).toEqual(['/metadata', '/name', '/type'])
      expect(await of({ ...webhook('x'), type: 'kinesis', extra: 1 })).toEqual(['/extra', '/type'])
      expect(
        await of(webhook('x', { url: at.url, digest: { maxRecords: 101, maxDelaySeconds: -1 } })),
      ).toEqual(['/metadata/digest/maxDelaySeconds', '/metadata/digest/maxRecords'])
      expect(await of(webhook('x', { url: 'https://user:pw@hooks.example/x' }))).toEqual(['/metadata/url'])
      expect(await of(webhook('x', { url: 'ftp://127.0.0.1/x' }))).toEqual(['/metadata/url'])
      expect(await of(webhook('x', { url: 'nowhere' }))).toEqual(['/metadata/url'])
      const { id, name } = await make(webhook('taken'))
      expect(await refusal('POST', path, webhook(name))).toMatchObject({ status: 409, code: 'CONFLICT' })
      const other = await make(webhook('not taken'))
      expect(await refusal('PATCH', `${path}/${other.id}`, { name })).toMatchObject({ status: 409 })
      expect(await refusal('PATCH', `${path}/${id}`, {})).toMatchObject({ status: 400 })
      expect(await refusal('PATCH', `${path}/${id}`, { metadata: { url: 'nowhere' } })).toMatchObject({
        status: 400,
        issues: ['/metadata/url'],
      })
    })

    it('are so many and no more', async () => {
      const tenant = await createTenant(service.app.url, service.simulator.url)
      for (let number = 1; number <= 20; number += 1) await make(webhook(`hook ${number}`), pathOf(tenant))
      expect(await refusal('POST', pathOf(tenant), webhook('one more'))).toMatchObject({ status: 409 })
    })

    it('point to no loopback or private host, unless the service is set to allow it', async () => {
      const strict = await startApp(
        appOptions(service.database.url, { role: 'api', allowInsecureProviders: false, encryptionKey }),
      )
      try {
        const post = (url: string) =>
          caller(strict.url)<Problem>(
            'POST',
            pathOf(service.tenant),
            webhook(`strict ${url}`.slice(0, 200), { url }),
          )
        for (const url of [
          'http://hooks.example.com/x',
          'https://localhost/x',
          'https://127.0.0.1/x',
          'https://10.1.2.3/x',
          'https://169.254.169.254/latest',
          'https://[::1]/x',
          'https://[::ffff:10.0.0.1]/x',
          'https://0x7f.1/x',
        ]) {
          const { status, body } = await post(url)
          expect([url, status, body.issues?.[0]?.path]).toEqual([url, 400, '/metadata/url'])
        }
        expect((await post('https://hooks.example.com/x')).status).toBe(201)
        // One that was taken when it was allowed is not called any more.
        const { id } = await make(webhook('was allowed'))
        const tested = await caller(strict.url)<{ delivered: boolean; error: string }>(
          'POST',
          `${pathOf(service.tenant)}/${id}:test`,
        )
        expect(tested.body).toMatchObject({ delivered: false })
        expect(tested.body.error).toContain('private or loopback')
      } finally {
        await strict.stop(1_000)
      }
    })
  })

  describe('a test', () => {
    it('is sent now, signed, and says what the receiver answered', async () => {
      const { id, secret, name } = await make(webhook('tested'))
      const test = () => admin('POST', `${pathOf(service.tenant)}/${id}:test`)
      const before = at.got.length
      const good = await test()
      expect(good.status).toBe(200)
      const message = at.got[before]!
      expect(good.body).toEqual({
        delivered: true,
        id: message.id,
        status: 204,
        body: '',
        durationMs: expect.any(Number) as number,
      })
      expect(isSigned(message, secret)).toBe(true)
      expect(message.body).toEqual({
        notificationType: 'destination.test',
        data: { projectId: service.tenant.projectId, destinationId: id, destinationName: name },
      })
      at.behave(() => 503)
      const bad = await test()
      expect(bad.body).toMatchObject({
        delivered: false,
        status: 503,
        body: 'answered 503',
        error: 'The receiver answered 503.',
      })
      at.behave(() => 'cut')
      const cut = await test()
      expect(cut.body).toMatchObject({ delivered: false, error: expect.any(String) as string })
      expect(cut.body).not.toHaveProperty('status')
      at.behave(() => 204)
      const path = `${pathOf(service.tenant)}/${id}/deliveries`
      expect((await admin('GET', path)).body['results']).toEqual([])
    })
  })

  it('no secret is shown again, logged, or kept as it is', async () => {
    const path = pathOf(service.tenant)
    const { id } = await make(webhook('secretive'))
    const rotated = await admin<{ secret: string }>('POST', `${path}/${id}:rotate-secret`)
    secrets.push(rotated.body.secret)
    await service.tenant.write('Contact', { type: 'create', record: { LastName: 'x' } })
    const count = at.got.length
    await at.until(count + 1)
    const seen: unknown[] = [
      (await admin('GET', `${path}/${id}`)).body,
      (await admin('GET', path)).body,
      (await admin('PATCH', `${path}/${id}`, { enabled: false })).body,
      (await admin('GET', `${path}/${id}/deliveries`)).body,
      ...lines,
      ...(await service.database.sql`select t::text as row from destination t`),
      ...(await service.database.sql`select t::text as row from notification t`),
    ]
    const text = JSON.stringify(seen)
    expect(secrets.length).toBeGreaterThan(20)
    for (const secret of secrets) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(secret.slice('whsec_'.length))
      expect(text).not.toContain(Buffer.from(secret).toString('hex'))
    }
    // The URL may hold a token of the receiver's: it is shown, never logged.
    expect(lines.length).toBeGreaterThan(10)
    expect(JSON.stringify(lines)).not.toContain('in-the-url')
  })
})
