import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallAnswer, ErrorClass, RecordAnswer } from '../../src/model/outcome.ts'
import { decide, type Decidable } from '../../src/outcomes/decide.ts'

const error = { code: 'SOME_CODE', message: 'some message', fields: ['F'] }
const write: Decidable = { type: 'create', idempotent: false, attempts: 1, deadlineSeconds: 3600 }
const answered = (...records: RecordAnswer[]): CallAnswer => ({
  kind: 'answered',
  status: 200,
  records,
  usage: null,
})
const failed = (errorClass: ErrorClass, maxRetries?: number): RecordAnswer =>
  maxRetries === undefined
    ? { ok: false, errors: [error], errorClass }
    : { ok: false, errors: [error], errorClass, maxRetries }
const refused = (errorClass: ErrorClass): CallAnswer => ({
  kind: 'refused',
  status: 400,
  errors: [error],
  errorClass,
  usage: null,
})
const lost: CallAnswer = { kind: 'lost', status: null, error }
const notSent: CallAnswer = { kind: 'not_sent', error }
const types = ['create', 'update', 'upsert', 'delete'] as const

describe('deciding', () => {
  it('succeeds by the place in the answer', () => {
    const answer = answered({ ok: true, recordId: 'a', created: true }, failed('permanent'), {
      ok: true,
      recordId: 'c',
      created: false,
    })
    expect(decide(answer, 0, write, 0.5)).toEqual({ move: 'succeed', recordId: 'a', created: true })
    expect(decide(answer, 1, write, 0.5)).toEqual({ move: 'fail', errors: [error] })
    expect(decide(answer, 2, { ...write, type: 'upsert' }, 0.5)).toEqual({
      move: 'succeed',
      recordId: 'c',
      created: false,
    })
  })

  it.each(['transient', 'again', 'auth'] as const)(
    'sends again what is %s, for a record and for the request',
    (errorClass) => {
      for (const answer of [answered(failed(errorClass)), refused(errorClass)]) {
        expect(decide(answer, 0, write, 0.5)).toMatchObject({ move: 'retry', errors: [error] })
      }
    },
  )

  it("fails what is permanent, with the provider's own words", () => {
    expect(decide(refused('permanent'), 0, write, 0.5)).toEqual({ move: 'fail', errors: [error] })
  })

  it.each(types)('after a lost answer, a %s is never sent twice unless that is safe', (type) => {
    for (const answer of [lost, refused('ambiguous'), answered(failed('ambiguous')), answered()]) {
      const decision = decide(answer, 0, { ...write, type }, 0.5)
      expect(decision.move).toBe(type === 'create' ? 'doubt' : 'retry')
      if (decision.move === 'doubt') expect(decision.errors[0]?.code).toBe('OUTCOME_UNKNOWN')
    }
  })

  it('sends a create again that carries its own key, and knows it as created whichever time it was', () => {
    const keyed = { ...write, idempotent: true }
    for (const answer of [lost, refused('ambiguous'), answered()])
      expect(decide(answer, 0, keyed, 0.5).move).toBe('retry')
    const found = answered({ ok: true, recordId: 'a', created: false })
    expect(decide(found, 0, keyed, 0.5)).toEqual({ move: 'succeed', recordId: 'a', created: true })
    expect(decide(found, 0, { ...write, type: 'upsert' }, 0.5)).toEqual({
      move: 'succeed',
      recordId: 'a',
      created: false,
    })
  })

  it.each(types)('sends a %s again that never left', (type) => {
    expect(decide(notSent, 0, { ...write, type }, 0.5).move).toBe('retry')
  })

  it('heeds the few tries that some errors are worth', () => {
    expect(decide(answered(failed('transient', 1)), 0, { ...write, attempts: 1 }, 0.5).move).toBe('retry')
    expect(decide(answered(failed('transient', 1)), 0, { ...write, attempts: 2 }, 0.5).move).toBe('fail')
  })

  it('spends no attempt on a call that a limit of the org turned away', () => {
    for (const answer of [answered(failed('throttled')), refused('throttled')]) {
      expect(decide(answer, 0, write, 0.5)).toEqual({ move: 'defer', errors: [error] })
      expect(decide(answer, 0, { ...write, deadlineSeconds: 0 }, 0.5)).toEqual({
        move: 'fail',
        errors: [error],
      })
    }
  })

  it('ends at the deadline: the last try comes at it, none after it', () => {
    const soon = decide(
      answered(failed('transient')),
      0,
      { ...write, attempts: 30, deadlineSeconds: 2 },
      0.999,
    )
    expect(soon).toMatchObject({ move: 'retry', delaySeconds: 2 })
    expect(decide(answered(failed('transient')), 0, { ...write, deadlineSeconds: 0 }, 0.5)).toEqual({
      move: 'fail',
      errors: [error],
    })
    for (const type of types) {
      expect(decide(lost, 0, { ...write, type, deadlineSeconds: -1 }, 0.5).move).toBe('doubt')
    }
  })

  it('holds its promises for every answer', () => {
    const classes = fc.constantFrom<ErrorClass>(
      'permanent',
      'transient',
      'again',
      'throttled',
      'auth',
      'ambiguous',
    )
    const record = fc.oneof(
      fc.constant<RecordAnswer>({ ok: true, recordId: 'a', created: null }),
      classes.map((errorClass) => failed(errorClass)),
    )
    const answers = fc.oneof(
      fc.array(record, { maxLength: 3 }).map((records) => answered(...records)),
      classes.map(refused),
      fc.constantFrom(lost, notSent),
    )
    const writes = fc.record({
      type: fc.constantFrom(...types),
      idempotent: fc.boolean(),
      attempts: fc.integer({ min: 0, max: 200 }),
      deadlineSeconds: fc.double({ min: -100, max: 200_000, noNaN: true }),
    })
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(answers, fc.integer({ min: 0, max: 3 }), writes, random, (answer, position, one, drawn) => {
        const decision = decide(answer, position, one, drawn)
        const said = answer.kind === 'answered' ? answer.records[position] : undefined
        // success only where the provider said so of this very record
        expect(decision.move === 'succeed').toBe(said?.ok === true)
        if (decision.move === 'retry') {
          expect(decision.delaySeconds).toBeGreaterThanOrEqual(0)
          expect(decision.delaySeconds).toBeLessThanOrEqual(Math.min(300, one.deadlineSeconds))
        }
        if (decision.move === 'doubt' && one.deadlineSeconds > 0) {
          expect(one).toMatchObject({ type: 'create', idempotent: false })
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
