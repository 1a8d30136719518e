import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { isAllowedLogin } from '../../src/api/connect/routes.ts'
import { spec } from '../../src/cli/connect.ts'
import { readInput } from '../../src/cli/command.ts'
import { caller, startService, type Service } from '../support/service.ts'

const guide = readFileSync(new URL('../../docs/guides/connecting-an-org.md', import.meta.url), 'utf8')

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

it('the call that the guide shows is answered as it shows', async () => {
  const shown = guide.split('<!-- link:start -->')[1]!.split('<!-- link:end -->')[0]!
  const [call = '', answer = ''] = [...shown.matchAll(/```\w+\n(.*?)```/gs)].map(([, code]) => code!)
  const [head = '', body = ''] = call.split('\n\n')
  expect(head.split('\n')[0]).toBe('POST /v1/projects/acme/connections:connect')
  const given = JSON.parse(body.replaceAll('…', 'x')) as Record<string, unknown>
  const path = `/v1/projects/${service.tenant.projectId}/connections:connect`
  const made = await caller(service.app.url)<Record<string, string>>('POST', path, given)
  expect(made.status).toBe(201)
  const wanted = JSON.parse(answer) as Record<string, string>
  expect(Object.keys(made.body)).toEqual(Object.keys(wanted))
  expect(new URL(made.body['url']!).pathname).toHaveLength(new URL(wanted['url']!).pathname.length)
  expect(await (await fetch(made.body['url']!)).text()).toContain('customer-42')
})

it('the command that the guide shows can be called so', () => {
  const [, call = ''] = /```sh\nwriteback connect (.*?)\n```/s.exec(guide) ?? []
  expect(() => readInput(spec, call.split(' '), {})!.check()).not.toThrow()
  expect(call).toContain('--link')
})

it('the address for trying it with docker compose is one for browsers and containers', () => {
  const [, host = '', port = ''] =
    /With `docker compose up`, enter `http:\/\/([^:`]+):(\d+)`/.exec(guide) ?? []
  const { services } = parse(readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8')) as {
    services: Record<string, { ports: string[]; networks: { default: { aliases: string[] } } }>
  }
  const { ports, networks } = services['simulator']!
  expect(networks.default.aliases).toEqual([host])
  expect(ports).toEqual([expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1:.*:-${port}\\}:${port}$`))])
  // Browsers take such names for their own host.
  expect(host).toMatch(/\.localhost$/)
  expect(isAllowedLogin(`http://${host}:${port}`, true)).toBe(true)
})
