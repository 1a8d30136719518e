import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findCulprits } from '../../src/batcher/find-culprits.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type { ProviderGroup, SentCall } from '../../src/providers/provider.ts'

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

/** A provider that refuses every group that holds a bad record, and remembers what it took. */
function parser(answerTo: (records: string[]) => CallAnswer | null = () => null) {
  const taken: string[] = []
  let calls = 0
  const answer = (records: string[]): CallAnswer => {
    const special = answerTo(records)
    if (special !== null) return special
    if (records.some((record) => record.startsWith('bad'))) return refused
    taken.push(...records)
    return {
      kind: 'answered',
      status: 200,
      records: records.map((record) => ({ ok: true, recordId: record, created: true })),
      usage: null,
    }
  }
  return {
    taken,
    calls: () => calls,
    send: (pieces: string[][]): Promise<SentCall> => {
      calls += 1
      return Promise.resolve({ answers: pieces.map(answer), calls: 1 })
    },
  }
}

/** Sends the group, and looks for the culprits in its answer. */
async function search(provider: ReturnType<typeof parser>, sent: ProviderGroup): Promise<CallAnswer> {
  const { answers } = await provider.send([sent.records])
  return findCulprits(answers[0]!, sent, provider.send)
}

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
    expect(calls).toBe(4)
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
    const answer = await search(provider, group(named(10, [3, 9])))
    const [unknown, bad] = ['ambiguous', 'permanent'].map((errorClass) => ({ ok: false, errorClass }))
    expect(answer.kind === 'answered' && answer.records).toMatchObject([
      ...[unknown, unknown],
      ...[{ ok: true }, bad],
      ...Array<object>(5).fill({ ok: true }),
      bad,
    ])
  })

  it.each<[string, CallAnswer]>([
    ['the limit of the day', { ...refused, oneRecord: undefined, errorClass: 'throttled' } as never],
    ['no time', { kind: 'not_sent', error }],
  ])('is not looked for any more when %s turns the search away', async (_, away) => {
    const provider = parser((records) => (records.length === 1 ? away : null))
    const answer = await search(provider, group(named(25, [0, 5, 10, 15, 20])))
    expect(provider.calls()).toBe(3)
    const classes = (answer.kind === 'answered' ? answer.records : []).map((one) => !one.ok && one.errorClass)
    // Of the parts that were refused nothing is known but that nothing is written.
    expect(classes.slice(5)).toEqual(Array(20).fill('transient'))
  })

  it('writes nothing twice, blames nobody wrongly, and bounds its calls', async () => {
    const sizes = fc.integer({ min: 2, max: 200 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.array(fc.nat(199), { minLength: 1, maxLength: 200 }), async (size, bad) => {
        fc.pre(bad.some((index) => index < size))
        const records = named(size, bad)
        const provider = parser()
        const answer = await search(provider, group(records))
        expect(provider.calls()).toBeLessThanOrEqual(62)
        expect(provider.taken.toSorted()).toEqual(records.filter((one) => one.startsWith('good')).toSorted())
        const answers = answer.kind === 'answered' ? answer.records : []
        expect(answers).toEqual(
          records.map((record) =>
            record.startsWith('bad')
              ? { ok: false, errors: [error], errorClass: 'permanent' }
              : { ok: true, recordId: record, created: true },
          ),
        )
      }),
    )
  })

  it('leaves the rest to another try when an org takes one group in a call', async () => {
    const provider = parser()
    const singly = async (pieces: string[][]): Promise<SentCall> => ({
      ...(await provider.send(pieces)),
      calls: pieces.length,
    })
    const records = named(200, [...Array(200).keys()])
    const answer = await findCulprits(refused, group(records), singly)
    const classes = (answer.kind === 'answered' ? answer.records : []).map((one) => !one.ok && one.errorClass)
    expect(provider.calls()).toBe(13)
    expect(new Set(classes)).toEqual(new Set(['permanent', 'transient']))
  })
})
