import { Histogram } from '../harness/histogram.ts'
import type { ClosedLoop, LoadResult, OpenAtOnce, Order, Paced } from './load-protocol.ts'
import { openConnections, toBytes, type RawConnection } from './raw-connection.ts'

/** Milliseconds between two looks at what is due. */
const PACE_MS = 1

/** What is counted while an order runs. */
class Count {
  readonly statuses: Record<string, number> = {}
  readonly latency = new Histogram()
  readonly ids: string[] = []
  count = 0

  answer(status: number | string): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
  }

  result(seconds: number, answeredAt: number[] = []): LoadResult {
    const { count, statuses, ids } = this
    return { count, seconds, statuses, ids, answeredAt, latency: this.latency.data() }
  }
}

/** Carries out an order. @throws {Error} when a connection is lost before it is done */
export async function carryOut(order: Order, onHeld: (answered: number) => void): Promise<LoadResult> {
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => undefined)
  const count = order.kind === 'at-once' ? order.requests.length : order.connections
  const connections = await openConnections(order.url, count, lost.reject)
  try {
    return await Promise.race([run(order, connections, onHeld), lost.promise])
  } finally {
    for (const connection of connections) connection.close()
  }
}

function run(
  order: Order,
  connections: RawConnection[],
  onHeld: (answered: number) => void,
): Promise<LoadResult> {
  const bytes = order.requests.map((request) => toBytes(order.url, request))
  let next = 0
  const inTurn = (): Buffer => bytes[next++ % bytes.length] ?? Buffer.alloc(0)
  switch (order.kind) {
    case 'closed':
      return runClosed(order, connections, inTurn)
    case 'paced':
      return runPaced(order, connections, inTurn)
    case 'at-once':
      return runAtOnce(order, connections, bytes, onHeld)
  }
}

const idPattern = /"operationId":"([^"]+)"/
const ID_KEY = Buffer.from('"operationId"')

function countIds(body: Buffer): number {
  let found = 0
  for (let at = body.indexOf(ID_KEY); at >= 0; at = body.indexOf(ID_KEY, at + ID_KEY.length)) found += 1
  return found
}

function runClosed(
  { seconds, count: most = Infinity, leadSeconds = 0, ids = false, writesPerCall }: ClosedLoop,
  connections: RawConnection[],
  inTurn: () => Buffer,
): Promise<LoadResult> {
  const { promise, resolve } = Promise.withResolvers<LoadResult>()
  const counted = new Count()
  const from = performance.now() + leadSeconds * 1000
  const until = seconds === undefined ? Infinity : from + seconds * 1000
  let sent = 0
  let busy = 0
  let last = from
  const go = (connection: RawConnection): void => {
    const at = performance.now()
    if (at >= until || sent >= most) {
      if (busy === 0) resolve(counted.result((Math.min(until, last) - from) / 1000))
      return
    }
    sent += 1
    busy += 1
    connection.send(inTurn(), (status, body) => {
      const now = performance.now()
      busy -= 1
      last = now
      const isWhole = writesPerCall === undefined || status !== 200 || countIds(body) === writesPerCall
      counted.answer(isWhole ? status : 'incomplete')
      if (now >= from && now < until) {
        counted.count += 1
        counted.latency.add(now - at)
      }
      if (ids) counted.ids.push(idPattern.exec(body.toString('latin1'))?.[1] ?? '')
      go(connection)
    })
  }
  for (const connection of connections) go(connection)
  return promise
}

function runPaced(
  { perSecond, seconds }: Paced,
  connections: RawConnection[],
  inTurn: () => Buffer,
): Promise<LoadResult> {
  const { promise, resolve } = Promise.withResolvers<LoadResult>()
  const counted = new Count()
  const idle = [...connections]
  const total = Math.round(perSecond * seconds)
  const begun = performance.now()
  const dueAt = (index: number): number => begun + (index * 1000) / perSecond
  let sent = 0
  const sendDue = (): void => {
    const now = performance.now()
    for (let at = dueAt(sent); sent < total && at <= now && idle.length > 0; at = dueAt(sent)) {
      sent += 1
      // In turn: one that is never used would be closed for it.
      sendOne(idle.shift(), at)
    }
  }
  const sendOne = (connection: RawConnection | undefined, at: number): void => {
    connection?.send(inTurn(), (status) => {
      counted.answer(status)
      counted.count += 1
      counted.latency.add(performance.now() - at)
      idle.push(connection)
      if (counted.count === total) {
        clearInterval(timer)
        resolve(counted.result((performance.now() - begun) / 1000))
      } else if (dueAt(sent) < performance.now()) sendDue()
    })
  }
  const timer = setInterval(sendDue, PACE_MS)
  return promise
}

async function runAtOnce(
  { requests }: OpenAtOnce,
  connections: RawConnection[],
  bytes: Buffer[],
  onHeld: (answered: number) => void,
): Promise<LoadResult> {
  const counted = new Count()
  const answeredAt = new Array<number>(requests.length).fill(0)
  const begun = performance.now()
  const answers = connections.map(
    (connection, place) =>
      new Promise<void>((resolve) => {
        connection.send(bytes[place] ?? Buffer.alloc(0), (status) => {
          const now = performance.now()
          answeredAt[place] = performance.timeOrigin + now
          counted.count += 1
          counted.answer(status)
          counted.latency.add(now - begun)
          resolve()
        })
      }),
  )
  onHeld(counted.count)
  await Promise.all(answers)
  return counted.result((performance.now() - begun) / 1000, answeredAt)
}
