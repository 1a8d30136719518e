import { describe, expect, it } from 'vitest'
import { makePlan } from '../../bench/chaos/plan.ts'
import { targets } from '../../bench/chaos/plan-kills.ts'
import { keyedObjects, type PlannedCall } from '../../bench/chaos/plan-load.ts'

const plan = makePlan({ seconds: 120, seed: 7, rate: 100 })
const calls = plan.clients.flat()
const items = calls.flatMap((call) => call.items)

/** What of a plan lies before a time. */
const until = (seconds: number, { clients, kills, faults }: typeof plan) => {
  const early = <T extends { at: number }>(list: T[]): T[] => list.filter(({ at }) => at < seconds * 1000)
  return { clients: clients.map(early), kills: early(kills), faults: early(faults) }
}

describe('the plan of a run', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(makePlan({ seconds: 120, seed: 7, rate: 100 })).toEqual(plan)
    const other = makePlan({ seconds: 120, seed: 8, rate: 100 })
    expect(other.kills).not.toEqual(plan.kills)
    expect(other.faults).not.toEqual(plan.faults)
    expect(other.clients).not.toEqual(plan.clients)
  })

  it('begins like that of a shorter run', () => {
    const short = makePlan({ seconds: 40, seed: 7, rate: 100 })
    expect(until(40, short)).toEqual(until(40, plan))
    expect(plan.held.length).toBeGreaterThan(short.held.length)
  })

  it('kills every process, each start again after a while and none while it is down', () => {
    for (const target of targets) {
      const kills = plan.kills.filter((kill) => kill.target === target)
      expect(kills.length).toBeGreaterThan(1)
      for (const [place, { at, downMs }] of kills.entries()) {
        expect(downMs).toBeGreaterThanOrEqual(100)
        expect(at + downMs).toBeLessThan(kills[place + 1]?.at ?? Infinity)
      }
    }
    expect(plan.kills.map(({ at }) => at)).toEqual(plan.kills.map(({ at }) => at).toSorted((a, b) => a - b))
  })

  it('writes about as much a second as was asked for', () => {
    expect(items.length / 120).toBeGreaterThan(80)
    expect(items.length / 120).toBeLessThan(120)
  })

  const kinds: [string, (call: PlannedCall) => boolean][] = [
    ['asynchronous creates', ({ mode, type }) => mode === 'asynchronous' && type === 'create'],
    ['synchronous creates', ({ mode, type }) => mode === 'synchronous' && type === 'create'],
    [
      'creates with an idempotencyField',
      ({ type, object }) => type === 'create' && keyedObjects.includes(object),
    ],
    ['creates without one', ({ type, object }) => type === 'create' && !keyedObjects.includes(object)],
    ['updates', ({ type }) => type === 'update'],
    ['synchronous updates', ({ mode, type }) => mode === 'synchronous' && type === 'update'],
    ['upserts', ({ type }) => type === 'upsert'],
    ['deletes', ({ type }) => type === 'delete'],
    ['allOrNone groups', ({ isBatch, policy }) => !isBatch && policy?.['allOrNone'] === true],
    ['resent groups', ({ policy }) => policy?.['onRollback'] === 'resend'],
    ['merged writes', ({ policy }) => policy?.['merge'] === true],
    ['asynchronous batches', ({ isBatch, mode }) => isBatch && mode === 'asynchronous'],
    ['synchronous batches', ({ isBatch, mode }) => isBatch && mode === 'synchronous'],
    ['allOrNone batches', ({ isBatch, policy }) => isBatch && policy?.['allOrNone'] === true],
    ['writes that the org refuses', ({ items: [item] }) => item?.values['Score__c'] === -1],
    [
      'writes without a policy',
      ({ isBatch, mode, policy }) => !isBatch && mode === 'asynchronous' && policy === null,
    ],
  ]
  it.each(kinds)('has %s', (_, is) => {
    expect(calls.filter(is).length).toBeGreaterThan(3)
  })

  it('has one client for each record, in which nothing follows a delete, and unlike markers', () => {
    const writers = new Map<string, number>()
    const deleted = new Set<string>()
    for (const [client, made] of plan.clients.entries()) {
      for (const { type, items: several } of made) {
        for (const { subject } of several) {
          if (subject === null) continue
          expect(writers.get(subject.name) ?? client).toBe(client)
          writers.set(subject.name, client)
          expect(deleted).not.toContain(subject.name)
          if (type === 'delete') deleted.add(subject.name)
        }
      }
    }
    expect(new Set(items.map(({ marker }) => marker)).size).toBe(items.length)
    const updated = items.flatMap(({ subject }) => (subject?.by === 'id' ? subject.name : []))
    expect(plan.held.map(({ subject }) => subject.name)).toEqual(expect.arrayContaining(updated))
  })
})
