import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallAnswer, ErrorClass, RecordAnswer } from '../../src/model/outcome.ts'
import { decide } from '../../src/outcomes/decide.ts'
import {
  decideGroup,
  MAX_ROUNDS,
  ROLLED_BACK,
  type GroupMember,
  type GroupRules,
} from '../../src/outcomes/decide-group.ts'

const member: GroupMember = {
  id: 'w',
  position: 0,
  type: 'create',
  idempotent: false,
  attempts: 1,
  deadlineSeconds: 3600,
  rollbacks: 0,
  lostIn: [],
}
const ok: RecordAnswer = { ok: true, recordId: 'a', created: true }
const rolledBack: RecordAnswer = {
  ok: false,
  errors: [{ code: ROLLED_BACK, message: 'rolled back', fields: [] }],
  errorClass: 'again',
}
const failed = (code: string, errorClass: ErrorClass): RecordAnswer => ({
  ok: false,
  errors: [{ code, message: '', fields: [] }],
  errorClass,
})
const bad = failed('REQUIRED_FIELD_MISSING', 'permanent')
const locked = failed('UNABLE_TO_LOCK_ROW', 'transient')
const answered = (...records: RecordAnswer[]): CallAnswer => ({
  kind: 'answered',
  status: 200,
  records,
  usage: null,
})
const fail: GroupRules = { allOrNone: true, onRollback: 'fail' }
const resend: GroupRules = { allOrNone: true, onRollback: 'resend' }

const run = (rules: GroupRules, records: RecordAnswer[], part: Partial<GroupMember> = {}) =>
  decideGroup(
    answered(...records),
    records.map((_, position) => ({ ...member, position, ...part })),
    rules,
    0.5,
  )
const codesOf = (decisions: ReturnType<typeof run>): (string | undefined)[] =>
  decisions.map((decision) => ('errors' in decision ? decision.errors[0]?.code : undefined))

describe('deciding for writes that were sent as one record', () => {
  const two = (part: Partial<GroupMember> = {}): GroupMember[] => [
    { ...member, type: 'update', position: 0, ...part },
    { ...member, type: 'update', position: 1 },
    { ...member, type: 'update', position: 1 },
  ]
  const none: GroupRules = { allOrNone: false, onRollback: 'fail' }

  it('gives each the outcome of their record', () => {
    const found = { ...ok, created: false } as RecordAnswer
    expect(decideGroup(answered(bad, found), two(), none, 0.5)).toMatchObject([
      { move: 'fail' },
      { move: 'succeed', recordId: 'a' },
      { move: 'succeed', recordId: 'a' },
    ])
  })

  it('sends each again by itself when they failed for good, and not a third time', () => {
    const decisions = decideGroup(answered(ok, bad), two(), none, 0.5)
    expect(decisions.slice(1)).toMatchObject([
      { move: 'retry', delaySeconds: 0, alone: true },
      { move: 'retry', delaySeconds: 0, alone: true },
    ])
    // a write that has its record for itself fails with it
    expect(decideGroup(answered(bad, ok), two(), none, 0.5)[0]).toMatchObject({ move: 'fail' })
    expect(decideGroup(answered(ok, locked), two(), none, 0.5)[1]).not.toHaveProperty('alone')
  })

  it('under allOrNone, has only the innocent rolled back', () => {
    const decisions = decideGroup(answered(rolledBack, bad), two(), fail, 0.5)
    expect(decisions).toMatchObject([{ move: 'retry' }, { alone: true }, { alone: true }])
  })
})

describe('deciding for what was too much for the org’s own code together', () => {
  const heavy: RecordAnswer = { ...failed('APEX_ERROR', 'transient'), cause: 'apex_limit' } as RecordAnswer

  it('sends it again in smaller groups, down to one record', () => {
    const none: GroupRules = { allOrNone: false, onRollback: 'fail' }
    const sizes = [100, 25, 7, 2, 1].map((size) => {
      const decisions = run(none, Array<RecordAnswer>(size).fill(heavy))
      return decisions.map((decision) => (decision.move === 'retry' ? decision.maxRecords : null))[0]
    })
    expect(sizes).toEqual([25, 7, 2, 1, 1])
    expect(run(none, [ok, heavy, locked])).toMatchObject([
      { move: 'succeed' },
      { move: 'retry', maxRecords: 1 },
      { move: 'retry' },
    ])
    expect(run(none, [ok, heavy, locked])[2]).not.toHaveProperty('maxRecords')
  })
})

describe('deciding for a group sent with allOrNone', () => {
  it('fails as a whole: the offenders with their own errors, the others as rolled back', () => {
    const decisions = run(fail, [rolledBack, bad, rolledBack, bad])
    expect(decisions.map((decision) => decision.move)).toEqual(['fail', 'fail', 'fail', 'fail'])
    expect(codesOf(decisions)).toEqual([
      ROLLED_BACK,
      'REQUIRED_FIELD_MISSING',
      ROLLED_BACK,
      'REQUIRED_FIELD_MISSING',
    ])
  })

  it('with resend, sends the others again at once, three rounds at most', () => {
    const decisions = run(resend, [rolledBack, bad, rolledBack])
    expect(decisions).toMatchObject([
      { move: 'retry', delaySeconds: 0, rolledBack: true },
      { move: 'fail' },
      { move: 'retry', rolledBack: true },
    ])
    expect(run(resend, [rolledBack, bad], { rollbacks: MAX_ROUNDS - 1 })[0]!.move).toBe('retry')
    expect(run(resend, [rolledBack, bad], { rollbacks: MAX_ROUNDS })[0]!.move).toBe('fail')
    expect(run(resend, [rolledBack, bad], { deadlineSeconds: 0 })[0]!.move).toBe('fail')
  })

  it('is sent again whole while nothing in it is final, and spends no round', () => {
    for (const rules of [fail, resend]) {
      const decisions = run(rules, [rolledBack, locked, rolledBack])
      expect(decisions.map((decision) => decision.move)).toEqual(['retry', 'retry', 'retry'])
      for (const decision of decisions) expect(decision).not.toHaveProperty('rolledBack')
    }
  })

  it('counts a passing error beside a final one among the others', () => {
    expect(run(fail, [locked, bad]).map((decision) => decision.move)).toEqual(['fail', 'fail'])
    expect(codesOf(run(fail, [locked, bad]))).toEqual(['UNABLE_TO_LOCK_ROW', 'REQUIRED_FIELD_MISSING'])
    expect(run(resend, [locked, bad]).map((decision) => decision.move)).toEqual(['retry', 'fail'])
  })

  it('fails as a whole when an offender has had its few tries', () => {
    const spent: RecordAnswer = { ...locked, maxRetries: 1 } as RecordAnswer
    expect(run(fail, [rolledBack, spent], { attempts: 2 }).map((decision) => decision.move)).toEqual([
      'fail',
      'fail',
    ])
  })

  it('believes no success in an undone group', () => {
    expect(run(resend, [ok, bad])[0]!.move).toBe('doubt')
    expect(run(resend, [ok, bad], { type: 'update' })[0]!.move).toBe('retry')
  })

  it('of a caller-built batch is never sent again in part', () => {
    const unknown = failed('NO_ANSWER_FOR_RECORD', 'ambiguous')
    const whole: GroupRules = { ...fail, isCallersBatch: true }
    expect(run(whole, [unknown, rolledBack]).map(({ move }) => move)).toEqual(['doubt', 'fail'])
    expect(run(fail, [unknown, rolledBack]).map(({ move }) => move)).toEqual(['doubt', 'retry'])
    expect(run(whole, [locked, rolledBack]).map(({ move }) => move)).toEqual(['retry', 'retry'])
    expect(run(whole, [unknown, rolledBack], { type: 'update' }).map(({ move }) => move)).toEqual([
      'retry',
      'retry',
    ])
  })

  it('is the same as deciding one by one when nothing failed, nothing was answered, or allOrNone was not asked for', () => {
    const record = fc.constantFrom(ok, rolledBack, bad, locked)
    const records = fc.array(record, { minLength: 1, maxLength: 5 })
    const lost: CallAnswer = { kind: 'lost', status: null, error: { code: 'X', message: '', fields: [] } }
    fc.assert(
      fc.property(records, fc.constantFrom(fail, resend), (some, rules) => {
        const members = some.map((_, position) => ({ ...member, position }))
        const oneByOne = (answer: CallAnswer) =>
          members.map((one, position) => decide(answer, position, one, 0.5))
        const partial = answered(...some)
        expect(decideGroup(partial, members, { ...rules, allOrNone: false }, 0.5)).toEqual(oneByOne(partial))
        expect(decideGroup(lost, members, rules, 0.5)).toEqual(oneByOne(lost))
        const fine = answered(...some.map(() => ok))
        expect(decideGroup(fine, members, rules, 0.5)).toEqual(oneByOne(fine))
      }),
    )
  })

  it('never leaves a member of an undone group as written', () => {
    const records = fc.array(fc.constantFrom(ok, rolledBack, bad, locked), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(records, fc.constantFrom(fail, resend), fc.nat(5), (some, rules, rollbacks) => {
        fc.pre(!some.every((one) => one.ok))
        for (const decision of run(rules, some, { rollbacks })) expect(decision.move).not.toBe('succeed')
      }),
    )
  })
})
