import { describe, expect, it } from 'vitest'
import { sendCall, type CallPart } from '../../src/batcher/send-call.ts'
import { joinAnswers, splitPart } from '../../src/batcher/split-part.ts'
import type { CallAnswer, ThrottleKind } from '../../src/model/outcome.ts'
import { allWritten, handMadeProvider, sessionWith } from './fixture.ts'

const partOf = (records: string[], more: Partial<CallPart> = {}, allOrNone = false): CallPart => ({
  group: { objectName: 'Contact', type: 'create', externalIdField: null, allOrNone, headers: [], records },
  ifEmpty: records.map((_, place) => (place === 300 ? ['Title'] : null)),
  updateCollisions: false,
  ...more,
})
const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `{"n":${at}}`)
const sizes = (parts: CallPart[]): number[] => parts.map(({ group }) => group.records.length)

const times = (count: number, text: string): string[] => Array.from({ length: count }, () => text)

const error = (code: string) => ({ code, message: `${code} it says`, fields: [] })
const lost: CallAnswer = { kind: 'lost', status: null, error: error('ECONNRESET') }
const notSent: CallAnswer = { kind: 'not_sent', error: error('ECONNREFUSED') }
const refused = (code: string, throttle?: ThrottleKind): CallAnswer => ({
  kind: 'refused',
  status: 403,
  errors: [error(code)],
  errorClass: throttle === undefined ? 'permanent' : 'throttled',
  usage: { used: 9, limit: 10 },
  ...(throttle === undefined ? {} : { throttle }),
})

describe('a part of more records than one request takes', () => {
  it('is divided by records, in order, each with what belongs to it', () => {
    const parts = splitPart(partOf(numbered(401)))
    expect(sizes(parts)).toEqual([200, 200, 1])
    expect(parts.flatMap(({ group }) => group.records)).toEqual(numbered(401))
    expect(parts[1]!.ifEmpty[100]).toEqual(['Title'])
    expect(parts.flatMap(({ ifEmpty }) => ifEmpty).filter((one) => one !== null)).toHaveLength(1)
  })

  it('is divided by bytes, and a record that is over them goes alone', () => {
    const big = `{"Description":"${'é'.repeat(1_500_000)}"}`
    const huge = `{"Description":"${'x'.repeat(7_000_000)}"}`
    expect(sizes(splitPart(partOf([big, big, big, '{}', huge, '{}'])))).toEqual([2, 2, 1, 1])
  })

  it('goes in smaller ones where the org took no more', () => {
    expect(sizes(splitPart(partOf(numbered(7), { maxRecords: 3 })))).toEqual([3, 3, 1])
  })

  it('stays whole with allOrNone, and as it is when one request takes it', () => {
    const whole = partOf(numbered(250), {}, true)
    expect(splitPart(whole)).toEqual([whole])
    const small = partOf(numbered(200))
    expect(splitPart(small)[0]).toBe(small)
  })
})

describe('the answer to it', () => {
  const pieces = splitPart(partOf(numbered(450)))
  const written = (piece: number): CallAnswer => allWritten(pieces[piece]!.group)

  it('has one for each record, whatever became of its request', () => {
    const joined = joinAnswers(pieces, [written(0), lost, refused('INVALID_TYPE')])
    if (joined.kind !== 'answered') throw new Error('not answered')
    const classes = joined.records.map((record) => (record.ok ? 'written' : record.errorClass))
    const expected = [...times(200, 'written'), ...times(200, 'ambiguous'), ...times(50, 'permanent')]
    expect(classes).toEqual(expected)
    expect(joined.usage).toEqual({ used: 9, limit: 10 })
  })

  it('is that of all of them where they ended alike, and tells of limits and sessions', () => {
    expect(joinAnswers(pieces, [notSent, { ...notSent }, notSent])).toBe(notSent)
    expect(joinAnswers(pieces, [lost, { ...lost }, lost])).toBe(lost)
    const daily = refused('REQUEST_LIMIT_EXCEEDED', 'daily')
    expect(joinAnswers(pieces, [daily, { ...daily }, daily])).toBe(daily)
    expect(joinAnswers(pieces, [daily, daily, refused('REQUEST_LIMIT_EXCEEDED', 'concurrent')]).kind).toBe(
      'answered',
    )
  })

  it('keeps what each request was told of the org apart', async () => {
    const daily = refused('REQUEST_LIMIT_EXCEEDED', 'daily')
    const provider = handMadeProvider(({ group }) =>
      group.records[0] === '{"n":400}' ? daily : allWritten(group),
    )
    const noRefresh = { refresh: () => Promise.reject(new Error('no session was refused')) }
    const { answers, heard, calls } = await sendCall(
      noRefresh,
      'i',
      sessionWith(provider),
      [partOf(numbered(450)), partOf(['{}'])],
      { timeoutMs: 1_000 },
    )
    // One of them a read.
    expect(calls).toBe(2)
    expect(answers.map(({ kind }) => kind)).toEqual(['answered', 'answered'])
    expect(heard.map((one) => (one.kind === 'refused' ? one.throttle : one.kind))).toEqual([
      'answered',
      'answered',
      'daily',
      'answered',
    ])
  })

  it('is of all its records, though some went again with a new session', async () => {
    let isExpired = true
    const provider = handMadeProvider(({ group }) =>
      isExpired && group.records[0] === '{"n":200}'
        ? {
            kind: 'refused',
            status: 401,
            errors: [error('INVALID_SESSION_ID')],
            errorClass: 'auth',
            usage: null,
          }
        : allWritten(group),
    )
    const refresh = () => {
      isExpired = false
      return Promise.resolve({ ...sessionWith(provider), version: 2 })
    }
    const { answers, refreshes } = await sendCall(
      { refresh },
      'i',
      sessionWith(provider),
      [partOf(numbered(450))],
      { timeoutMs: 1_000 },
    )
    expect(refreshes).toBe(1)
    expect(provider.calls.map(({ group }) => group.records.length)).toEqual([200, 200, 50, 200])
    const [answer] = answers
    expect(answer?.kind === 'answered' && answer.records.every(({ ok }) => ok)).toBe(true)
  })
})
