import { describe, expect, it } from 'vitest'
import { floqerAnswer } from '../../src/api/compat/floqer-upsert.ts'
import type { NowRecord } from '../../src/model/now-outcome.ts'

const operationId = '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'
const answerTo = (record: NowRecord, url: string | null = 'https://acme.my.salesforce.com') =>
  floqerAnswer(
    { operationId, isBatch: false, namedId: () => null },
    { kind: 'ended', records: [record] },
    url,
  )
const written = (created: boolean | null): NowRecord => ({
  ok: true,
  recordId: '001RM000006EncrYAC',
  created,
  data: null,
})

describe("the answer to Floqer's upsert", () => {
  it.each<[boolean | null, string]>([
    [true, 'Insert'],
    [false, 'Update'],
    // A record that was found otherwise than by its key: the org says nothing of having made one.
    [null, 'Update'],
  ])('of a record of which the org says created: %s is %s', (created, operation_type) => {
    expect(answerTo(written(created))).toEqual({
      status: 200,
      body: {
        record_id: '001RM000006EncrYAC',
        operation_type,
        account_url: 'https://acme.my.salesforce.com/001RM000006EncrYAC',
      },
    })
  })

  it('has no page where the instance is not known', () => {
    expect(answerTo(written(true), null).body).toMatchObject({ account_url: null })
  })

  it('of a refused record is the write call’s', () => {
    const errors = [{ code: 'REQUIRED_FIELD_MISSING', message: 'missing', fields: ['Name'] }]
    expect(answerTo({ ok: false, errors })).toMatchObject({ status: 422, body: { operationId, errors } })
  })

  it('of a session that no new one mended says so', () => {
    const errors = [{ code: 'NO_WORKING_CONNECTION', message: 'The connection is broken: x', fields: [] }]
    expect(() => answerTo({ ok: false, errors })).toThrow(
      expect.objectContaining({ code: 'INVALID_SESSION_ID', operationId }) as Error,
    )
  })
})
