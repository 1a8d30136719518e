import { afterEach, describe, expect, it } from 'vitest'
import { WritebackError } from '../../src/kernel/errors.ts'
import { waitUntil } from '../support/wait-until.ts'
import { ADMIN_KEY } from './harness.ts'
import { rawCall, resultsOf, startBulk, writeLine, type BulkHarness, type RawCall } from './bulk-harness.ts'

let bulk: BulkHarness
afterEach(() => bulk.close())

const until = (what: string, condition: () => boolean): Promise<void> =>
  waitUntil(condition, { timeoutMs: 10_000, what })

const post = (body: string | ReadableStream, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(bulk.url + bulk.path, {
    method: 'POST',
    headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/x-ndjson', ...headers },
    body,
    duplex: 'half',
  })

const references = (): (string | null)[] =>
  bulk.arrivals.map(({ submission }) => submission.writes[0]!.reference)

describe('a stream of lines', () => {
  it('is answered line by line, in order, as commits are made, while it is still being sent', async () => {
    bulk = await startBulk()
    const call = await rawCall(bulk)
    call.send(writeLine({ reference: 'a' }) + writeLine({ reference: 'b' }) + writeLine().slice(0, 20))
    await until('two writes', () => bulk.arrivals.length === 2)
    const [first, second] = bulk.arrivals
    second!.commit()
    call.send(`${writeLine().slice(20)}${writeLine({ reference: 'd' })}`)
    await until('four writes', () => bulk.arrivals.length === 4)
    expect(call.text).toBe('')
    first!.commit()
    await until('two answers', () => call.results.length === 2)
    expect(call.results.map(({ operationId }) => operationId)).toEqual(
      [first, second].map((one) => one!.submission.writes[0]!.id),
    )
    expect(call.text).toMatch(/^HTTP\/1.1 200 .*content-type: application\/x-ndjson\r\n/s)
    bulk.commitAll()
    call.end()
    await until('the end', () => call.text.endsWith('0\r\n\r\n'))
    expect(call.results).toHaveLength(4)
    expect(references()).toEqual(['a', 'b', null, 'd'])
    call.socket.destroy()
  })

  it('is never answered before the commit, and with a problem when that fails', async () => {
    bulk = await startBulk({ inWork: 2 })
    const answer = post(writeLine() + writeLine() + writeLine())
    await until('as many as there is room for', () => bulk.arrivals.length === 2)
    bulk.arrivals[1]!.fail(Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' }))
    bulk.arrivals[0]!.fail(new Error('a mistake of ours'))
    await until('the room that failures leave', () => bulk.arrivals.length === 3)
    bulk.arrivals[2]!.commit()
    const results = resultsOf(await (await answer).text())
    expect(results.map(({ problem }) => problem?.code)).toEqual([
      'INTERNAL',
      'DATABASE_UNAVAILABLE',
      undefined,
    ])
    expect(results[0]!.problem!.detail).not.toContain('mistake')
    await until('a line of the log', () => bulk.logged.length > 0)
    expect(bulk.logged).toHaveLength(1)
    expect(bulk.logged[0]).toMatch(/"count":2,.*gone/)
  })

  it('of which a line is cut off says so of that line', async () => {
    bulk = await startBulk()
    bulk.commitAll()
    const results = resultsOf(await (await post(writeLine() + writeLine().slice(0, 30))).text())
    expect(results).toMatchObject([
      { operationId: expect.any(String) as string },
      { problem: { code: 'INVALID_REQUEST', detail: 'Line 2 is not valid JSON.' } },
    ])
  })

  it('names the object where the line names it', async () => {
    bulk = await startBulk()
    const [result] = resultsOf(await (await post(writeLine({ objectName: 'no name' }))).text())
    expect(result!.problem!.issues!.map(({ path }) => path)).toEqual(['/objectName'])
  })

  it('with lines that are too long or too many refuses those and takes the others', async () => {
    bulk = await startBulk({ line: 1024 * 1024, writes: 4 })
    bulk.commitAll()
    const long = writeLine({ reference: 'x'.repeat(1024 * 1024) })
    const lines = [writeLine(), long, writeLine(), '\n', writeLine(), writeLine(), writeLine()]
    const results = resultsOf(await (await post(lines.join(''))).text())
    expect(results.map(({ problem }) => problem && [problem.status, problem.detail])).toEqual([
      undefined,
      [413, 'Line 2 is larger than the 1 MB of one write.'],
      undefined,
      undefined,
      [400, 'Line 6 is beyond the 4 writes of one call.'],
      [400, 'Line 7 is beyond the 4 writes of one call.'],
    ])
    expect(bulk.arrivals).toHaveLength(3)
  })

  it('beyond its limit of bytes is refused line by line, or as a whole when it says so beforehand', async () => {
    bulk = await startBulk({ bytes: 1024 * 1024, unread: 1 })
    bulk.commitAll()
    const line = writeLine({ record: { LastName: 'x'.repeat(400_000) } })
    const body = line.repeat(4)
    const stream = new ReadableStream({
      start: (controller) => {
        controller.enqueue(Buffer.from(body))
        controller.close()
      },
    })
    const results = resultsOf(await (await post(stream)).text())
    expect(results.map(({ problem }) => problem && [problem.status, problem.detail])).toEqual([
      undefined,
      undefined,
      [413, 'Line 3 is beyond the 1 MB of one call.'],
      [413, 'Line 4 is beyond the 1 MB of one call.'],
    ])
    const whole = await post(body)
    expect(whole.status).toBe(413)
    expect(await whole.json()).toMatchObject({ code: 'BODY_TOO_LARGE' })
    expect(bulk.arrivals).toHaveLength(2)
  })

  it('while too much is queued has the lines concerned refused, and no other', async () => {
    bulk = await startBulk()
    const call = await rawCall(bulk)
    bulk.commitAll()
    call.send(writeLine())
    await until('an answer', () => call.results.length === 1)
    bulk.refuseWith(new WritebackError('TOO_MUCH_QUEUED', 'Full.', { retryAfter: 15 }))
    call.send(writeLine())
    await until('a refusal', () => call.results.length === 2)
    bulk.refuseWith(null)
    call.send(writeLine())
    call.end()
    await until('the end', () => call.text.endsWith('0\r\n\r\n'))
    expect(call.results.map(({ problem }) => problem?.code)).toEqual([
      undefined,
      'TOO_MUCH_QUEUED',
      undefined,
    ])
    expect(call.results[1]).toMatchObject({
      problem: { status: 429, retryable: true, retryAfter: expect.any(String) as string },
    })
    call.socket.destroy()
  })
})

describe('memory is bounded', () => {
  it('by the writes that wait for a commit, over all calls', async () => {
    const limit = 40
    bulk = await startBulk({ inWork: limit, writes: Infinity })
    const answers = [1, 2, 3].map(() => post(writeLine().repeat(300)))
    await until('a full room', () => bulk.arrivals.length === limit)
    // one by one, so that a reader who takes more than was freed would be seen
    for (let next = 0; next < 900; next++) {
      await until('a write', () => bulk.arrivals.length > next)
      bulk.arrivals[next]!.commit()
    }
    for (const answer of answers) expect(resultsOf(await (await answer).text())).toHaveLength(300)
    expect(bulk.mostWaiting).toBe(limit)
  })

  it('by their bytes', async () => {
    // several lines in each chunk, so that a reader who minds no bytes takes more at once
    bulk = await startBulk({ inWorkBytes: 50_000 })
    const answer = post(writeLine({ record: { LastName: 'x'.repeat(5_000) } }).repeat(100))
    await until('a full room', () => bulk.arrivals.length >= 10)
    expect(bulk.mostWaiting).toBe(10)
    bulk.commitAll()
    expect(resultsOf(await (await answer).text())).toHaveLength(100)
    expect(bulk.mostWaiting).toBe(10)
  })

  it('by what the client has read: one that reads nothing is read from no more, until it reads', async () => {
    const total = 60_000
    bulk = await startBulk({ open: 100, writes: 0, line: 10 })
    const call = await rawCall(bulk)
    call.socket.pause()
    let read = ''
    call.socket.on('data', (bytes) => (read += bytes.toString()))
    call.send('1\n'.repeat(total))
    call.end()
    let before = -1
    await until('the reading to stop', () => {
      const isStill = bulk.taken === before && before > 0
      before = bulk.taken
      return isStill
    })
    expect(bulk.taken).toBeLessThan(total)
    call.socket.resume()
    await until('the end', () => read.endsWith('0\r\n\r\n'))
    expect(bulk.taken).toBe(total)
    const numbers = [...read.matchAll(/"detail":"Line (\d+) is/g)].map(([, number]) => Number(number))
    expect(numbers.every((number, index) => number === index + 1)).toBe(true)
    call.socket.destroy()
  })
})

/** Sends line after line, each once the one before is answered, for this long. */
async function converse(call: RawCall, ms: number): Promise<void> {
  const end = performance.now() + ms
  for (let count = 1; performance.now() < end; count++) {
    call.send(writeLine())
    await until('an answer', () => call.results.length === count || call.isClosed)
    expect(call.isClosed).toBe(false)
  }
}

describe('a client', () => {
  it('that makes progress may take longer than the time of a request', async () => {
    bulk = await startBulk({}, { headers: 200, request: 300, checked: 50 })
    bulk.commitAll()
    const call = await rawCall(bulk)
    await converse(call, 900)
    call.end()
    await until('the end', () => call.text.endsWith('0\r\n\r\n'))
    // the connection goes on, and the next request on it is bounded again
    call.socket.write('POST /v1/projects HTTP/1.1\r\nHost: x\r\n')
    await until('the time-out', () => call.isClosed)
    expect(call.text).toContain('HTTP/1.1 408')
  })

  it('that stalls is cut off, with the answers that there are', async () => {
    bulk = await startBulk({ stallMs: 200 })
    bulk.commitAll()
    const call = await rawCall(bulk)
    call.send(writeLine() + writeLine().slice(0, 20))
    await until('the cut', () => call.isClosed)
    expect(call.results).toHaveLength(1)
    expect(call.text).not.toContain('0\r\n\r\n')
    expect(bulk.arrivals).toHaveLength(1)
  })

  it('that stalls before any answer is told so', async () => {
    bulk = await startBulk({ stallMs: 200 })
    const call = await rawCall(bulk)
    call.send('{')
    await until('the cut', () => call.isClosed)
    expect(call.text).toMatch(/^HTTP\/1.1 408 /)
    expect(call.text).toContain('"code":"REQUEST_TIMEOUT"')
  })

  it('that never reads is cut off', async () => {
    bulk = await startBulk({ stallMs: 300, open: 100, writes: 0 })
    const closed = new Promise((resolve) => {
      bulk.app.server.once('connection', (socket) => socket.once('close', resolve))
    })
    const call = await rawCall(bulk)
    call.socket.pause()
    call.send('1\n'.repeat(100_000))
    await closed
    expect(bulk.taken).toBeLessThan(100_000)
    call.socket.destroy()
  })

  it('that waits for a slow commit is not cut off', async () => {
    bulk = await startBulk({ stallMs: 40 })
    const call = await rawCall(bulk)
    const begun = performance.now()
    call.send(writeLine())
    call.end()
    await until('time to pass', () => performance.now() - begun > 400)
    bulk.commitAll()
    await until('the end', () => call.text.endsWith('0\r\n\r\n'))
    expect(call.results).toHaveLength(1)
    call.socket.destroy()
  })

  it('that goes away leaves what it sent whole, nothing of what it did not, and room for others', async () => {
    bulk = await startBulk({ inWork: 2 })
    const call = await rawCall(bulk)
    call.send(writeLine() + writeLine() + writeLine() + writeLine({ reference: 'cut' }).slice(0, -1))
    await until('a full room', () => bulk.arrivals.length === 2)
    call.socket.resetAndDestroy()
    await until('the connection to close', () => call.isClosed)
    bulk.commitAll()
    const answer = await post(writeLine({ reference: 'next' }).repeat(3))
    expect(resultsOf(await answer.text())).toHaveLength(3)
    expect(references()).not.toContain('cut')
    expect(references().slice(-3)).toEqual(['next', 'next', 'next'])
  })

  it('whose body ends too soon has its last line left out, whole as it may look', async () => {
    bulk = await startBulk()
    const call = await rawCall(bulk)
    call.send(writeLine() + writeLine({ reference: 'last' }).slice(0, -1))
    await until('a write', () => bulk.arrivals.length === 1)
    call.socket.end()
    await until('the connection to close', () => call.isClosed)
    expect(references()).toEqual([null])
  })
})
