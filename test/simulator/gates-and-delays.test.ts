import { describe, expect, it } from 'vitest'
import { connect, contacts } from './client.ts'
import type { Client, Reply } from './client.ts'

const createTwo = (client: Client): Promise<Reply> =>
  client.call('POST', 'composite/sobjects', { records: contacts(2) })

describe('gates', () => {
  it.each([
    ['before', 0],
    ['after', 2],
  ] as const)('hold requests %s they are executed until released', async (when, written) => {
    const client = await connect()
    const gate = client.org.faults.hold({ operation: 'collections.create' }, when)
    const call = createTwo(client)
    await gate.arrived
    expect(client.org.count('Contact')).toBe(written)
    expect((await client.call('GET', 'limits')).status).toBe(200)
    const second = createTwo(client)
    await gate.waitForArrivals(2)
    expect(gate.arrivals).toBe(2)
    expect(client.org.requests.totals.inFlight).toBe(2)
    gate.release()
    expect([(await call).status, (await second).status]).toEqual([200, 200])
    expect((await createTwo(client)).status).toBe(200)
  })

  it('open when the faults are cleared', async () => {
    const client = await connect()
    const gate = client.org.faults.hold()
    const call = createTwo(client)
    await gate.arrived
    client.org.faults.clear()
    expect((await call).status).toBe(200)
  })
})

describe('time', () => {
  const duration = async (client: Client): Promise<number> => {
    const before = performance.now()
    await createTwo(client)
    return performance.now() - before
  }

  it('delay holds one request back', async () => {
    const client = await connect()
    client.org.faults.add({ action: { type: 'delay', ms: 60 } })
    expect(await duration(client)).toBeGreaterThanOrEqual(58)
    const [entry] = client.org.requests.list((other) => other.faults.includes('delay'))
    expect((entry?.endMs ?? 0) - (entry?.startMs ?? 0)).toBeGreaterThanOrEqual(58)
  })

  it('latency holds all back, by a fixed time or one of a range', async () => {
    const client = await connect()
    client.org.settings.latencyMs = 40
    expect(await duration(client)).toBeGreaterThanOrEqual(38)
    client.org.settings.latencyMs = { min: 30, max: 50 }
    expect(await duration(client)).toBeGreaterThanOrEqual(28)
  })
})
