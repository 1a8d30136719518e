import { companyOf, UNKNOWN_COMPANY } from '../../src/model/lost-try.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallAnswer, ErrorClass, RecordAnswer } from '../../src/model/outcome.ts'
import type { WriteType } from '../../src/model/write.ts'
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
  type: 'update',
  idempotent: false,
  attempts: 2,
  deadlineSeconds: 3600,
  rollbacks: 0,
  lostIn: [],
}
const failed = (code: string, errorClass: ErrorClass): RecordAnswer & { ok: false } => ({
  ok: false,
  errors: [{ code, message: '', fields: [] }],
  errorClass,
})
const written: RecordAnswer = { ok: true, recordId: 'a', created: false }
const rolledBack = failed(ROLLED_BACK, 'again')
const ofTheRecord = failed('STRING_TOO_LONG', 'permanent')
const ofTheState = failed('INSUFFICIENT_ACCESS_OR_READONLY', 'permanent')
const locked = failed('UNABLE_TO_LOCK_ROW', 'transient')
const answered = (...records: RecordAnswer[]): CallAnswer => ({
  kind: 'answered',
  status: 200,
  records,
  usage: null,
})
const refused = (failure: RecordAnswer & { ok: false }): CallAnswer => ({
  kind: 'refused',
  status: 400,
  errors: failure.errors,
  errorClass: failure.errorClass,
  usage: null,
})
const lost: CallAnswer = {
  kind: 'lost',
  status: null,
  error: { code: 'ECONNRESET', message: '', fields: [] },
}
const each: GroupRules = { allOrNone: false, onRollback: 'fail' }
const whole: GroupRules = { allOrNone: true, onRollback: 'fail' }

/** What becomes of members with these lost tries, as `move` or `move code`. */
const run = (
  rules: GroupRules,
  answer: CallAnswer,
  lostIn: string[][],
  part: Partial<GroupMember> = {},
): string[] =>
  decideGroup(
    answer,
    lostIn.map((batches, position) => ({ ...member, position, lostIn: batches, ...part })),
    rules,
    0.5,
  ).map((decision) => ('errors' in decision ? `${decision.move} ${decision.errors[0]?.code}` : decision.move))

describe('a write that ends after a try whose answer was lost', () => {
  it('has failed when it is refused for what it says, which the lost try would have been too', () => {
    expect(run(each, answered(ofTheRecord), [['x']])).toEqual(['fail STRING_TOO_LONG'])
    expect(run(each, refused(ofTheRecord), [['x']])).toEqual(['fail STRING_TOO_LONG'])
  })

  it.each<[string, CallAnswer, number]>([
    ['a refusal that may come from what has changed since', answered(ofTheState), 3600],
    ['the end of its time after a lock', answered(locked), 0],
    ['the end of its time after a limit', refused(failed('REQUEST_LIMIT_EXCEEDED', 'throttled')), 0],
    ['the end of its time without a call', { kind: 'not_sent', error: locked.errors[0]! }, 0],
    ['the last of the few tries that a fault is worth', answered({ ...locked, maxRetries: 1 }), 3600],
  ])('is in doubt after %s, with the provider’s own words', (_, answer, deadlineSeconds) => {
    const one = { ...member, deadlineSeconds }
    const [decision] = decideGroup(answer, [{ ...one, lostIn: ['x'] }], each, 0.5)
    const [plain] = decideGroup(answer, [one], each, 0.5)
    expect(plain).toMatchObject({ move: 'fail' })
    expect(decision).toEqual({
      move: 'doubt',
      errors: [
        {
          code: 'OUTCOME_UNKNOWN',
          message: expect.stringContaining('earlier try was lost') as string,
          fields: [],
        },
        ...(plain as { errors: unknown[] }).errors,
      ],
    })
  })

  it('has failed when the record to be updated has been deleted: nothing of it is there', () => {
    const gone = failed('ENTITY_IS_DELETED', 'permanent')
    expect(run(each, answered(gone), [['x']])).toEqual(['fail ENTITY_IS_DELETED'])
    expect(run(each, answered(gone), [['x']], { type: 'upsert' })).toEqual(['doubt OUTCOME_UNKNOWN'])
  })

  it('is in doubt when what was sent in its name may have differed: merged writes, fields sent only if empty', () => {
    expect(run(each, answered(ofTheRecord), [['x', companyOf(['w', 'v'])]])).toEqual([
      'doubt OUTCOME_UNKNOWN',
    ])
    expect(run(each, answered(ofTheRecord), [['x']], { ifEmpty: ['Title'] })).toEqual([
      'doubt OUTCOME_UNKNOWN',
    ])
  })

  it('needs an upsert’s required fields only where it makes the record', () => {
    const missing = answered(failed('REQUIRED_FIELD_MISSING', 'permanent'))
    const moves = (['update', 'upsert', 'create'] as WriteType[]).map(
      (type) => run(each, missing, [['x']], { type })[0],
    )
    expect(moves).toEqual([
      'fail REQUIRED_FIELD_MISSING',
      'doubt OUTCOME_UNKNOWN',
      'fail REQUIRED_FIELD_MISSING',
    ])
  })
})

describe('writes that were sent as one record when an answer was lost', () => {
  const company = companyOf(['a', 'b'])
  const isCleared = (rules: GroupRules, answer: CallAnswer, ...some: Partial<GroupMember>[]): boolean[] =>
    decideGroup(
      answer,
      some.map((part) => ({ ...member, ...part })),
      rules,
      0.5,
    ).map((decision) => 'unwritten' in decision)
  const pair = (a: string[], b: string[]): Partial<GroupMember>[] => [
    { id: 'a', lostIn: a },
    { id: 'b', lostIn: b },
  ]
  const refusedRecord = answered(ofTheRecord)

  it('go again each by itself, their doubt removed, when the same company is refused for what it says', () => {
    expect(isCleared(each, refusedRecord, ...pair(['x', company], ['x', company]))).toEqual([true, true])
    const twice = ['x', company, 'y', company]
    expect(isCleared(each, refused(ofTheRecord), ...pair(twice, twice))).toEqual([true, true])
  })

  it.each<[string, CallAnswer, Partial<GroupMember>[]]>([
    ['another company', refusedRecord, pair(['x', UNKNOWN_COMPANY], ['x', UNKNOWN_COMPANY])],
    ['the same only once', refusedRecord, pair(['w', 'x', company], ['w', 'x', company])],
    [
      'now one more',
      refusedRecord,
      [...pair(['x', company], ['x', company]), { id: 'c', lostIn: ['x', company] }],
    ],
    ['refused for what may have changed', answered(ofTheState), pair(['x', company], ['x', company])],
    [
      'written with fields that one sends only if empty',
      refusedRecord,
      [
        { id: 'a', lostIn: ['x', company], ifEmpty: ['Title'] },
        { id: 'b', lostIn: ['x', company] },
      ],
    ],
  ])('keep their doubt when the company was %s', (_, answer, some) => {
    expect(isCleared(each, answer, ...some)).toEqual(some.map(() => false))
  })

  it('keep it when this very answer leaves them open too', () => {
    const unknown = failed('NO_ANSWER_FOR_RECORD', 'ambiguous')
    const some = [...pair(['x', company], ['x', company]), { id: 'c', position: 1, lostIn: ['x'] }]
    expect(isCleared(whole, answered(unknown, ofTheRecord), ...some)).toEqual([false, false, false])
  })

  it('bear witness for the others of a group that is written as a whole or not at all', () => {
    const some = [...pair(['x', company], ['x', company]), { id: 'c', position: 1, lostIn: ['x'] }]
    expect(isCleared({ ...whole, onRollback: 'resend' }, answered(ofTheRecord, rolledBack), ...some)).toEqual(
      [true, true, true],
    )
  })
})

describe('a group with allOrNone of which a try was lost', () => {
  const undone = answered(rolledBack, ofTheRecord)

  it('has failed when the offender was along in the lost try: that was undone as well', () => {
    expect(run(whole, undone, [['x'], ['x']])).toEqual([`fail ${ROLLED_BACK}`, 'fail STRING_TOO_LONG'])
    expect(run(whole, undone, [['x'], ['w', 'x', 'y']])).toEqual([
      `fail ${ROLLED_BACK}`,
      'fail STRING_TOO_LONG',
    ])
  })

  it('goes again without an offender who joined later, three rounds at most, then is in doubt', () => {
    expect(run(whole, undone, [['x'], []])).toEqual([`retry ${ROLLED_BACK}`, 'fail STRING_TOO_LONG'])
    expect(run(whole, undone, [['x', 'y'], ['y']])).toEqual([`retry ${ROLLED_BACK}`, 'fail STRING_TOO_LONG'])
    const last = run(whole, undone, [['x'], []], { rollbacks: MAX_ROUNDS })
    expect(last).toEqual(['doubt OUTCOME_UNKNOWN', 'fail STRING_TOO_LONG'])
    expect(run(whole, undone, [['x'], []], { deadlineSeconds: 0 })[0]).toBe('doubt OUTCOME_UNKNOWN')
    // who was not in the lost try fails with the newcomer, as ever
    expect(run(whole, answered(rolledBack, rolledBack, ofTheRecord), [['x'], [], []])[1]).toBe(
      `fail ${ROLLED_BACK}`,
    )
  })

  it('is in doubt when the offender was along and its refusal may come from what has changed', () => {
    expect(run(whole, answered(rolledBack, ofTheState), [['x'], ['x']])).toEqual([
      'doubt OUTCOME_UNKNOWN',
      'doubt OUTCOME_UNKNOWN',
    ])
  })

  it('that cannot be read has failed only if nobody joined it since', () => {
    expect(run(whole, refused(failed('JSON_PARSER_ERROR', 'permanent')), [['x'], ['x']])).toEqual([
      'fail JSON_PARSER_ERROR',
      'fail JSON_PARSER_ERROR',
    ])
    expect(run(whole, refused(failed('JSON_PARSER_ERROR', 'permanent')), [['x'], []])).toEqual([
      'doubt OUTCOME_UNKNOWN',
      'fail JSON_PARSER_ERROR',
    ])
  })

  it('of a caller-built batch, in doubt where this very answer leaves it open', () => {
    const unknown = failed('NO_ANSWER_FOR_RECORD', 'ambiguous')
    const callers: GroupRules = { ...whole, isCallersBatch: true }
    expect(run(callers, answered(unknown, ofTheRecord), [[], []])).toEqual([
      'doubt OUTCOME_UNKNOWN',
      'fail STRING_TOO_LONG',
    ])
  })
})

/** A write as the org sees it: how each of its tries would go there, were it alone. */
interface Truth {
  isBad: boolean
  /** By the number of the call. */
  tries: ('fine' | 'locked' | 'clash')[]
  /** The first call that it is in. */
  joins: number
}

const CALLS = 6
const truths = fc.array(
  fc.record({
    isBad: fc.boolean(),
    tries: fc.array(fc.constantFrom('fine' as const, 'fine' as const, 'locked' as const, 'clash' as const), {
      minLength: CALLS,
      maxLength: CALLS,
    }),
    joins: fc.nat(2),
  }),
  { minLength: 1, maxLength: 5 },
)

/** What the org does with a call, and would answer. */
function answerOf(going: Truth[], call: number, allOrNone: boolean): RecordAnswer[] {
  const own = going.map((truth) => {
    if (truth.isBad) return ofTheRecord
    const said = truth.tries[call]
    return said === 'locked' ? locked : said === 'clash' ? ofTheState : written
  })
  return allOrNone && own.some(({ ok }) => !ok) ? own.map((one) => (one.ok ? rolledBack : one)) : own
}

interface Played extends Truth {
  lostIn: string[]
  rollbacks: number
  attempts: number
  isWritten: boolean
  end: string | null
}

describe('outcomes are true', () => {
  it('whatever is lost, changes in the org and joins the group: nothing that the org wrote has failed', () => {
    const rules = fc.constantFrom<GroupRules>(each, whole, { ...whole, onRollback: 'resend' })
    const losses = fc.array(fc.boolean(), { minLength: CALLS, maxLength: CALLS })
    const deadline = fc.integer({ min: 1, max: CALLS })
    fc.assert(
      fc.property(truths, rules, losses, deadline, (some, how, isLost, until) => {
        const all = some.map((one): Played => ({
          ...one,
          lostIn: [],
          rollbacks: 0,
          attempts: 0,
          isWritten: false,
          end: null,
        }))
        for (let call = 0; call < CALLS; call += 1) {
          const going = all.filter((one) => one.end === null && one.joins <= call)
          if (going.length === 0) continue
          const records = answerOf(going, call, how.allOrNone)
          going.forEach((one, place) => (one.isWritten ||= records[place]!.ok))
          const members = going.map((one, position): GroupMember => ({
            ...member,
            position,
            attempts: one.attempts + 1,
            rollbacks: one.rollbacks,
            lostIn: one.lostIn,
            deadlineSeconds: call + 1 >= until ? 0 : 3600,
          }))
          const decisions = decideGroup(isLost[call] ? lost : answered(...records), members, how, 0.5)
          for (const [place, decision] of decisions.entries()) {
            const one = going[place]!
            one.attempts += 1
            if (decision.move !== 'retry') {
              one.end = decision.move
              continue
            }
            if (decision.lost !== undefined) one.lostIn = [...one.lostIn, `call ${call}`]
            if (decision.rolledBack === true) one.rollbacks += 1
          }
        }
        for (const one of all) {
          if (one.end === 'fail') expect(one.isWritten).toBe(false)
          if (one.end === 'succeed') expect(one.isWritten).toBe(true)
          if (one.end === 'doubt') expect(isLost).toContain(true)
          // what is bad in itself is never left in doubt by its own refusal
          if (one.end === 'doubt' && one.isBad) expect(one.attempts).toBe(one.lostIn.length + 1)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
