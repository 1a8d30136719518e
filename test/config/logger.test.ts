import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/logger.ts'
import { waitUntil } from '../support/wait-until.ts'

/** A logger and the lines that it wrote. */
function recorded(level = 'info', pretty = false) {
  const lines: string[] = []
  const destination = new Writable({
    write: (line: Buffer, _encoding, done) => {
      lines.push(line.toString())
      done()
    },
  })
  return { lines, logger: createLogger({ level, pretty, destination }) }
}

const secretNames = [
  ...[
    'credentials',
    'session',
    'accessToken',
    'access_token',
    'refreshToken',
    'refresh_token',
    'clientSecret',
  ],
  ...[
    'client_secret',
    'privateKey',
    'private_key',
    'authorization',
    'Authorization',
    'x-api-key',
    'X-Api-Key',
    'key',
  ],
  ...['secret', 'password', 'adminKey', 'encryptionKey', 'databaseUrl', 'cookie', 'Set-Cookie', 'assertion'],
]

/** The same value put deeper and deeper into objects and lists. */
function nestings(value: Record<string, unknown>): Record<string, unknown>[] {
  const nested: Record<string, unknown>[] = [value]
  for (let level = 1; level <= 6; level++) {
    const inner = nested.at(-1)
    nested.push(level % 2 === 0 ? { [`level${level}`]: inner } : { [`level${level}`]: [inner] })
  }
  return nested
}

describe('createLogger', () => {
  test.each(secretNames)('never writes what is called %s, at any depth', (name) => {
    const { lines, logger } = recorded()
    for (const value of nestings({ [name]: 'hunter2', plain: 'seen' })) logger.info(value, 'line')
    for (const value of nestings({ [name]: { inner: 'hunter2' }, plain: 'seen' })) logger.warn(value, 'line')
    expect(lines).toHaveLength(14)
    for (const line of lines) {
      expect(line).not.toContain('hunter2')
      expect(line).toContain('"plain":"seen"')
      expect(line).toContain('[redacted]')
    }
  })

  test("writes an error's words and its causes', and nothing else that hangs on them", () => {
    const { lines, logger } = recorded()
    const cause = Object.assign(new Error('socket closed'), {
      code: 'ECONNRESET',
      request: { headers: { authorization: 'Bearer hunter2' }, body: 'hunter2' },
      response: { body: 'hunter2' },
    })
    const error = Object.assign(new Error('call failed', { cause }), {
      config: { data: 'hunter2' },
      parameters: ['hunter2'],
    })
    logger.error({ err: error, part: { reason: error } }, 'failed')
    logger.error(error)
    expect(lines.join('')).not.toContain('hunter2')
    for (const line of lines) {
      const { err } = JSON.parse(line) as { err: unknown }
      expect(err).toMatchObject({
        type: 'Error',
        message: 'call failed',
        cause: { message: 'socket closed', code: 'ECONNRESET' },
      })
    }
  })

  test('shows of a secret whether it is set', () => {
    const { lines, logger } = recorded()
    logger.info({ config: { DATABASE_URL: 'unset', adminKey: 'set', privateKey: 'settled' } }, 'starting')
    expect(JSON.parse(lines[0]!)).toMatchObject({
      config: { DATABASE_URL: 'unset', adminKey: 'set', privateKey: '[redacted]' },
    })
  })

  test('cuts passwords out of URLs', () => {
    const { lines, logger } = recorded()
    logger.error(
      {
        err: new Error('no answer from postgres://me:hunter2@db/app'),
        url: new URL('http://me:hunter2@db/'),
      },
      'x',
    )
    expect(lines.join('')).toContain('postgres://db/app')
    expect(lines.join('')).not.toContain('hunter2')
  })

  test('survives what cannot be written', () => {
    const { lines, logger } = recorded()
    const round: Record<string, unknown> = {}
    round['self'] = round
    logger.info({ round, map: new Map([['key', 'hunter2']]), date: new Date(0), nothing: null }, 'odd')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      map: '[Map]',
      date: '1970-01-01T00:00:00.000Z',
      nothing: null,
    })
  })

  test('writes one JSON line with level, time and message, from its level up', () => {
    const { lines, logger } = recorded('warn')
    logger.info('unseen')
    logger.warn({ size: 3 }, 'seen')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'warn',
      time: expect.any(String) as string,
      size: 3,
      msg: 'seen',
    })
  })

  test('writes readable lines for a terminal, without secrets too', async () => {
    const { lines, logger } = recorded('info', true)
    logger.info({ size: 3, secret: 'hunter2' }, 'sent')
    await waitUntil(() => lines.length > 0, { timeoutMs: 5_000, what: 'the line' })
    expect(lines.join('')).toMatch(/INFO.*sent.*"size":3/s)
    expect(lines.join('')).not.toContain('hunter2')
  })
})
