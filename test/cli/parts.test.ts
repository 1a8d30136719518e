import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createApi, path, ServiceError } from '../../src/cli/api.ts'
import { hasDestinations } from '../../src/cli/apply/current.ts'
import { diffFields } from '../../src/cli/apply/diff.ts'
import { nodeFault } from '../../src/cli/node-version.ts'
import { tableLines } from '../../src/cli/output.ts'
import { createFollower, type ListQuery } from '../../src/cli/tail/follower.ts'
import { distance, tidy, wrap } from '../../src/cli/text.ts'
import { inGroups, readLines, type Line } from '../../src/cli/write/read-lines.ts'
import type { Operation } from '../../src/contract/operation.ts'

describe('lines of an input', () => {
  const linesOf = async (chunks: string[], maxBytes?: number): Promise<Line[]> => {
    async function* bytes(): AsyncGenerator<Buffer, void> {
      for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk))
    }
    const lines: Line[] = []
    for await (const line of readLines(bytes(), maxBytes)) lines.push(line)
    return lines
  }

  it('are numbered, blank ones left out, wherever the chunks are cut', async () => {
    const text = '{"a":1}\n\n  \r\n{"ü":2}\n{"c":3}'
    const expected = [
      { number: 1, text: '{"a":1}' },
      { number: 4, text: '{"ü":2}' },
      { number: 5, text: '{"c":3}' },
    ]
    expect(await linesOf([text])).toEqual(expected)
    expect(await linesOf(text.split(/(?=.)/su))).toEqual(expected)
  })

  it('that are too long are only counted', async () => {
    expect(await linesOf(['12345', '6\n123', '45\n', '1234567'], 5)).toEqual([
      { number: 1, text: null },
      { number: 2, text: '12345' },
      { number: 3, text: null },
    ])
  })

  it('go on without waiting for more when none come', async () => {
    const gate = Promise.withResolvers<undefined>()
    async function* slow(): AsyncGenerator<Line, void> {
      for (const number of [1, 2, 3]) yield await Promise.resolve({ number, text: 'x' })
      await gate.promise
      yield { number: 4, text: 'x' }
    }
    const groups: number[] = []
    for await (const group of inGroups(slow(), { lines: 2, characters: 100, idleMs: 20 })) {
      groups.push(group.length)
      if (groups.length === 2) gate.resolve(undefined)
    }
    expect(groups).toEqual([2, 1, 1])
  })
})

describe('a table', () => {
  const columns = [
    { title: 'ID' },
    { title: 'NAME', isFlexible: true },
    { title: 'N', isFigure: true },
  ] as const

  it('keeps to the width, its flexible columns giving way', () => {
    const rows = [
      ['12345678', 'a name that is rather long', '7'],
      ['2', 'b\n\u001b[31mred', '10'],
    ]
    const lines = tableLines(columns, rows, 30)
    expect(lines).toEqual([
      'ID        NAME               N',
      '12345678  a name that is …   7',
      '2         b [31mred         10',
    ])
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(30)
  })
})

describe('texts', () => {
  it('are wrapped, tidied and told in words', () => {
    expect(wrap('one two three', 8)).toEqual(['one two', 'three'])
    expect(tidy('a\u001b[2Jb\nc')).toBe('a [2Jb c')
    expect([0, 9_000, 119_000, 7_000_000, 90_000_000, 864_000_000].map(distance)).toEqual([
      '0.0 s',
      '9.0 s',
      '119 s',
      '117 min',
      '25 h',
      '10 d',
    ])
  })
})

describe('a difference', () => {
  const where = {
    entry: {},
    pointer: '/p',
    source: { file: 'f', value: {}, lineOf: () => 1, substituted: new Set(['/p/a/secret', '/p/list/0']) },
  }

  it('is told leaf by leaf, and not where a variable is', () => {
    const old = { a: { b: 1, c: {}, secret: 'old' }, list: ['x'], gone: true }
    const next = { a: { b: 2, c: { d: null }, secret: 'new' }, list: ['y'] }
    expect(diffFields(old, next, where, [])).toEqual([
      { path: 'a.b', old: 1, new: 2 },
      { path: 'a.secret', isHidden: true },
      { path: 'list', isHidden: true },
      { path: 'gone', old: true, new: undefined },
      { path: 'a.c.d', old: undefined, new: null },
    ])
    expect(diffFields(old, structuredClone(old), where, [])).toEqual([])
  })
})

describe('a call', () => {
  let server: Server | undefined
  afterEach(async () => {
    server?.closeAllConnections()
    await new Promise((resolve) => server?.close(resolve))
    server = undefined
  })

  /** A service that gives these answers one after the other: a status and headers, or nothing. */
  async function answering(...answers: ([number, Record<string, string>?] | null)[]) {
    const seen: string[] = []
    server = createServer((request, response) => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''} ${String(request.headers['x-api-key'])}`)
      const answer = answers.shift()
      if (answer === null || answer === undefined) {
        request.socket.destroy()
        return
      }
      const [status, headers = {}] = answer
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ detail: 'Said.', code: 'CODE', status, results: [] }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const signal = new AbortController().signal
    const url = `http://127.0.0.1:${port}`
    return { seen, api: createApi({ url, key: 'k', keySource: 'somewhere', signal, patienceMs: 4_000 }) }
  }

  it('is made again when it may be: after a lost answer, a 429 and a 503, and no sooner than they say', async () => {
    const { api, seen } = await answering(null, [429, { 'retry-after': '1' }], [503], [200])
    const start = performance.now()
    await expect(api.get(path`/v1/projects/${'a/b c'}`)).resolves.toMatchObject({ status: 200 })
    expect(performance.now() - start).toBeGreaterThan(1_000)
    expect(seen).toEqual(Array.from({ length: 4 }, () => 'GET /v1/projects/a%2Fb%20c k'))
  })

  it('that would do something twice is made once', async () => {
    const { api, seen } = await answering(null, [200])
    await expect(api.call('POST', '/x', { body: {} })).rejects.toMatchObject({ kind: 'unreachable' })
    expect(seen).toHaveLength(1)
  })

  it.each([
    [[400], 'refused'],
    [[409], 'refused'],
    [[500], 'failed'],
    [[302, { location: 'http://127.0.0.1:1/' }], 'failed'],
  ] as [[number, Record<string, string>?], string][])(
    'that is answered with %j is %s',
    async (answer, kind) => {
      const { api, seen } = await answering(answer, [200])
      const error: unknown = await api.get('/x').catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ServiceError)
      expect(error).toMatchObject({ kind })
      expect(seen).toHaveLength(1)
    },
  )

  it('tells a service without destinations from one that has them', async () => {
    const { api } = await answering([200])
    await expect(hasDestinations(api)).resolves.toBe(false)
  })

  it('gives up when its time is over', async () => {
    const { api } = await answering([429, { 'retry-after': '60' }])
    await expect(api.get('/x')).rejects.toMatchObject({ kind: 'failed' })
  })
})

describe('outcomes that are followed', () => {
  const START = Date.parse('2026-01-01T00:00:00Z')
  const at = (ms: number): string => new Date(START + ms).toISOString()

  /** An installation whose operations a test makes and ends; lists them as the service does. */
  function installation() {
    let count = 0
    const all = new Map<string, Operation>()
    const calls: string[] = []
    const add = (createdMs: number, endedMs?: number): string => {
      count += 1
      const id = `${String(START + createdMs).padStart(15, '0')}-${String(count).padStart(6, '0')}`
      all.set(id, {
        id,
        createTime: at(createdMs),
        updateTime: at(createdMs),
        status: 'in_progress',
      } as Operation)
      if (endedMs !== undefined) end(id, endedMs)
      return id
    }
    const end = (id: string, ms: number): void =>
      void all.set(id, { ...all.get(id)!, status: 'success', updateTime: at(ms) })
    const reopen = (id: string): void => void all.set(id, { ...all.get(id)!, status: 'in_progress' })
    const moved = new Map<string, string>()
    /** Somebody moved it by hand. */
    const move = (id: string, ms: number): void => void moved.set(id, at(ms))
    let clock = START
    const list = ({ status, movedAfter, pageSize, pageToken }: ListQuery) => {
      calls.push('list')
      const found = [...all.values()]
        .filter(
          (one) =>
            (status === undefined || one.status === status) &&
            (movedAfter === undefined || (moved.get(one.id) ?? '') > movedAfter) &&
            (pageToken === undefined || one.id < pageToken),
        )
        .sort((a, b) => (a.id < b.id ? 1 : -1))
      const results = found.slice(0, pageSize)
      return Promise.resolve({ results, next: found.length > pageSize ? results.at(-1)!.id : undefined })
    }
    const get = (ids: string[]) => {
      calls.push('get')
      const operations = ids.flatMap((id) => all.get(id) ?? [])
      return Promise.resolve({ operations, missing: ids.filter((id) => !all.has(id)) })
    }
    const port = { list, get, now: () => clock }
    const setClock = (ms: number): void => void (clock = START + ms)
    return { add, end, reopen, move, setClock, remove: (id: string) => all.delete(id), port, calls }
  }

  const bounds = { tracked: 10, firstPage: 2, page: 4, heldPages: 2, asked: 8 }

  /** A follower with these bounds, and the ids that it has told of. */
  const follow = (org: ReturnType<typeof installation>) => {
    const told: string[] = []
    const tell = (found: { id: string }[]): void => void told.push(...found.map(({ id }) => id))
    return { follower: createFollower(org.port, START, tell, bounds), told }
  }

  it('are told once each, those from before not, those that come late all the same', async () => {
    const org = installation()
    const { follower, told } = follow(org)
    const old = org.add(-500_000)
    org.add(-10_000, -5_000)
    const open = org.add(-1_000)
    await follower.look(true)
    expect(told).toEqual([])
    org.end(old, 100)
    const quick = org.add(200, 250)
    await follower.look(false)
    expect(told.sort()).toEqual([old, quick].sort())
    org.end(open, 2_000)
    org.add(2_000, 2_100)
    await follower.look(false)
    const late = org.add(1_500, 2_050)
    await follower.look(false)
    expect(told).toContain(late)
    org.add(40_000, 41_000)
    await follower.look(false)
    const veryLate = org.add(1_000, 41_000)
    await follower.look(false)
    expect(told).not.toContain(veryLate)
    await follower.look(true)
    expect(told).toContain(veryLate)
    expect(told).toHaveLength(7)
    expect(new Set(told).size).toBe(7)
    expect(follower.awaited).toBe(0)
  })

  it('are told in full when more come than are held, and while more are open than are awaited', async () => {
    const org = installation()
    const { follower, told } = follow(org)
    await follower.look(true)
    const ids = Array.from({ length: 60 }, (_, n) => org.add(10_000 + n * 1_000))
    await follower.look(false)
    expect(follower.awaited).toBeLessThanOrEqual(bounds.tracked)
    ids.forEach((id, n) => org.end(id, 80_000 + n))
    for (let look = 0; look < 20 && told.length < 60; look++) await follower.look(look % 2 === 0)
    expect(told.sort()).toEqual(ids)
    for (let look = 0; look < 5; look++) await follower.look(true)
    expect(told).toHaveLength(60)
  })

  it('are told in full when more come while one looks', async () => {
    const org = installation()
    const told: string[] = []
    const added: string[] = []
    const addSome = (): void => {
      for (let n = 0; n < 3; n++) added.push(org.add(100_000 + added.length * 4_000, 900_000))
    }
    const list = async (query: ListQuery) => {
      if (added.length > 10 && added.length < 90) addSome()
      return org.port.list(query)
    }
    const port = { ...org.port, list }
    const follower = createFollower(port, START, (found) => told.push(...found.map(({ id }) => id)), bounds)
    await follower.look(true)
    while (added.length < 30) addSome()
    for (let look = 0; look < 20; look++) await follower.look(false)
    expect(added).toHaveLength(90)
    expect(told.sort()).toEqual(added)
  })

  it('are told again of what was sent again by hand, and not of what is gone', async () => {
    const org = installation()
    const { follower, told } = follow(org)
    const id = org.add(100, 200)
    const gone = org.add(300)
    await follower.look(true)
    expect(told).toEqual([id])
    org.reopen(id)
    org.remove(gone)
    await follower.look(true)
    org.end(id, 900)
    await follower.look(false)
    expect(told).toEqual([id, id])
    expect(follower.awaited).toBe(0)
    await follower.look(true)
    expect(told).toHaveLength(2)
    // So soon that nobody saw it open: it has ended at another time.
    org.end(id, 1_500)
    await follower.look(false)
    expect(told).toEqual([id, id, id])
    await follower.look(true)
    expect(told).toHaveLength(3)
  })

  it('are told of an older one that was moved by hand and has ended at once, each outcome once', async () => {
    const org = installation()
    const told: string[] = []
    const asked: string[] = []
    const list = (query: ListQuery) => {
      if (query.movedAfter !== undefined) asked.push(query.movedAfter)
      return org.port.list(query)
    }
    const tell = (found: Operation[]): void =>
      void told.push(...found.map(({ id, updateTime }) => `${id} ${updateTime}`))
    const follower = createFollower({ ...org.port, list }, START, tell, bounds)
    const [one, late, veryLate, before] = [-900_000, -800_000, -700_000, -600_000].map((ms) =>
      org.add(ms, ms + 1_000),
    ) as [string, string, string, string]
    org.add(-500, -400)
    const moveTo = (id: string, ms: number): string => {
      org.end(id, ms)
      org.move(id, ms)
      return `${id} ${at(ms)}`
    }
    moveTo(before, -300)
    await follower.look(true)
    expect(told).toEqual([])
    org.setClock(40_000)
    await follower.look(false)
    // What is moved is seen some time after its time.
    const outcomes = [moveTo(one, 39_500), moveTo(late, 38_000)]
    await follower.look(false)
    expect(told.sort()).toEqual(outcomes.sort())
    outcomes.push(moveTo(veryLate, 1_000))
    await follower.look(false)
    expect(told).toHaveLength(2)
    await follower.look(true)
    outcomes.push(moveTo(one, 41_000))
    org.setClock(42_000)
    await follower.look(false)
    expect(told.sort()).toEqual(outcomes.sort())
    for (const ms of [43_000, 99_000, 150_000, 400_000, 401_000]) {
      org.setClock(ms)
      await follower.look(true)
    }
    expect(told).toHaveLength(4)
    // It does not ask for more and more.
    expect(asked.at(-1)).toBe(at(400_000 - 60_000))
  })

  it('are told of all that was sent again by hand when that is more than is awaited', async () => {
    const org = installation()
    const { follower, told } = follow(org)
    const ids = Array.from({ length: 30 }, (_, n) => org.add(-900_000 + n, -800_000))
    await follower.look(true)
    for (const id of ids) {
      org.reopen(id)
      org.move(id, 1_000)
    }
    for (const ms of [2_000, 60_000, 120_000]) {
      org.setClock(ms)
      await follower.look(false)
      expect(follower.awaited).toBe(bounds.tracked)
    }
    ids.forEach((id, n) => org.end(id, 130_000 + n))
    for (let look = 0; look < 8; look++) {
      org.setClock(140_000 + look * 1_000)
      await follower.look(false)
    }
    expect(told.sort()).toEqual(ids)
    expect(follower.awaited).toBe(0)
  })
})

describe('the version of Node', () => {
  it('is told of when it is too old', () => {
    expect(
      ['22.22.0', '22.23.1', '24.0.0', '100.1.0'].map((version) => nodeFault(version, '>=22.22')),
    ).toEqual([null, null, null, null])
    for (const version of ['20.20.2', '22.3.0', '9.99.99'])
      expect(nodeFault(version, '>=22.22')).toBe(`this needs Node 22.22 or newer, and runs on ${version}.`)
    expect(nodeFault()).toBeNull()
  })
})
