import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findCulprits } from '../../src/batcher/find-culprits.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { ProviderGroup } from '../../src/providers/provider.ts'

const error = { code: 'JSON_PARSER_ERROR', message: 'Cannot deserialize', fields: [] }
const refused: CallAnswer = {
  kind: 'refused',
  status: 400,
  errors: [error],
  errorClass: 'permanent',
  usage: null,
  oneRecord: true,
}

const group = (records: string[], part: Partial<ProviderGroup> = {}): ProviderGroup => ({
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records,
  ...part,
})

/** A provider that refuses every request that holds a bad record, and remembers what it took. */
function parser(answerTo: (records: string[]) => CallAnswer | null = () => null) {
  const taken: string[] = []
  let calls = 0
  return {
    taken,
    calls: () => calls,
    send: (records: string[]): Promise<CallAnswer> => {
      calls += 1
      const special = answerTo(records)
      if (special !== null) return Promise.resolve(special)
      if (records.some((record) => record.startsWith('bad'))) return Promise.resolve(refused)
      taken.push(...records)
      return Promise.resolve({
        kind: 'answered',
        status: 200,
        records: records.map((record) => ({ ok: true, recordId: record, created: true })),
        usage: null,
      })
    },
  }
}

/** Sends the group, and looks for the culprits in its answer. */
const search = async (provider: ReturnType<typeof parser>, sent: ProviderGroup): Promise<CallAnswer> =>
  findCulprits(await provider.send(sent.records), sent, (records) => provider.send(records))

const named = (size: number, bad: number[]): string[] =>
  Array.from({ length: size }, (_, index) => `${bad.includes(index) ? 'bad' : 'good'} ${index}`)

describe('a request that one bad value sinks', () => {
  it('costs the culprit alone: the others are written, each once, each with its own answer', async () => {
    const records = named(100, [37])
    const provider = parser()
    const answer = await search(provider, group(records))
    const calls = provider.calls()
    expect(answer.kind).toBe('answered')
    const answers = answer.kind === 'answered' ? answer.records : []
    records.forEach((record, index) => {
      expect(answers[index]).toEqual(
        index === 37
          ? { ok: false, errors: [error], errorClass: 'permanent' }
          : { ok: true, recordId: record, created: true },
      )
    })
    expect(provider.taken).toHaveLength(99)
    expect(calls).toBeLessThanOrEqual(15)
  })

  it('is not taken apart when it is one record, another error, or all or none', async () => {
    for (const [records, part] of [
      [['bad 0'], {}],
      [named(4, [1]), { allOrNone: true }],
    ] as const) {
      const provider = parser()
      expect(await search(provider, group([...records], part))).toEqual(refused)
      expect(provider.calls()).toBe(1)
    }
    const other: CallAnswer = {
      kind: 'refused',
      status: 404,
      errors: [error],
      errorClass: 'permanent',
      usage: null,
    }
    const provider = parser(() => other)
    expect(await search(provider, group(named(4, [])))).toEqual(other)
    expect(provider.calls()).toBe(1)
  })

  it('keeps what is known of each part when a call in between is lost', async () => {
    const lost: CallAnswer = {
      kind: 'lost',
      status: null,
      error: { code: 'ECONNRESET', message: 'lost', fields: [] },
    }
    const provider = parser((records) => (records.length === 2 && records[0] === 'good 0' ? lost : null))
    const answer = await search(provider, group(named(4, [3])))
    expect(answer.kind === 'answered' && answer.records).toMatchObject([
      { ok: false, errorClass: 'ambiguous' },
      { ok: false, errorClass: 'ambiguous' },
      { ok: true },
      { ok: false, errorClass: 'permanent' },
    ])
  })

  it('writes nothing twice, blames nobody wrongly, and bounds its calls', async () => {
    const sizes = fc.integer({ min: 2, max: 100 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.array(fc.nat(99), { minLength: 1, maxLength: 100 }), async (size, bad) => {
        fc.pre(bad.some((index) => index < size))
        const records = named(size, bad)
        const provider = parser()
        const answer = await search(provider, group(records))
        const calls = provider.calls()
        const answers = answer.kind === 'answered' ? answer.records : []
        expect(answers).toHaveLength(size)
        expect(new Set(provider.taken).size).toBe(provider.taken.length)
        expect(calls).toBeLessThanOrEqual(24)
        records.forEach((record, index) => {
          const one = answers[index]!
          if (one.ok) expect(provider.taken).toContain(record)
          else if (one.errorClass === 'permanent') expect(record).toMatch(/^bad/)
          else expect(one.errorClass).toBe('transient')
          if (!one.ok) expect(provider.taken).not.toContain(record)
        })
      }),
    )
  })
})
