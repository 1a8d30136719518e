import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { interaction, postInteraction, sampleInteraction } from '../support/engagement.ts'
import { startService, type Service } from '../support/service.ts'
import { oneStory } from '../support/one-story.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

interface Problem {
  code: string
  issues: { path: string; message: string }[]
}

const post = (body: Record<string, unknown>, headers?: Record<string, string>) =>
  postInteraction<Problem>(service.tenant, body, headers)
const issuesOf = async (body: Record<string, unknown>): Promise<Record<string, string>> => {
  const answer = await post(body)
  expect([answer.status, answer.body.code]).toEqual([400, 'INVALID_REQUEST'])
  return Object.fromEntries(answer.body.issues.map(({ path, message }) => [path, message]))
}
const issuesIn = async (engagementInteraction: unknown): Promise<Record<string, string>> => {
  const issues = await issuesOf({ engagementInteraction })
  return Object.fromEntries(
    Object.entries(issues).map(([path, message]) => [path.replace('/engagementInteraction', ''), message]),
  )
}

describe('what is taken for an interaction', oneStory, () => {
  describe('an interaction', () => {
    it('has every issue named, at every level, by its place', async () => {
      const sample = sampleInteraction({ internalAttendeeId: 'x', relatedPersonId: 'y' })
      const issues = await issuesIn({
        ...sample,
        id: 'given by the org',
        colour: 'red',
        attendeeVerified: 'true',
        communicationChannel: undefined,
        startDateTime: 'today',
        sentiment: 'Furious',
        mappedState: null,
        externalIdentifierId: ' spaces ',
        customFieldsList: [
          { key: 'not a name', value: 'x' },
          { key: 'a__c' },
          { key: 'b__c', value: null },
          { key: 'c__c', value: { latitude: 91, longitude: 'x', height: 3 } },
          { key: 'd__c', value: 1, more: true },
          { key: 'D__c', value: 2 },
        ],
        engagementAttendees: [
          {
            startDateTime: '2022-04-17T12:00:00.000Z',
            endDateTime: '2022-04-17T11:59:59.999Z',
            isVerified: true,
          },
        ],
        engagementTopics: [{ topicId: 'x' }, { name: '', processStatus: 'Done' }, 'text'],
      })
      expect(issues).toEqual({
        '/id': 'is not a known field',
        '/colour': 'is not a known field',
        '/attendeeVerified': 'must be true or false',
        '/communicationChannel': 'is required',
        '/startDateTime': 'must be an ISO 8601 date and time with its zone',
        '/sentiment': 'must be one of: Negative, Neutral, Positive',
        '/mappedState': 'must be text',
        '/externalIdentifierId': 'must not contain control characters, nor begin or end with a space',
        '/customFieldsList/0/key': 'must be an object name: letters, digits and underscores, a letter first',
        '/customFieldsList/1/value': 'is required',
        '/customFieldsList/2/value': 'must be text or a number or true or false or an object',
        '/customFieldsList/3/value/latitude': 'must be at most 90',
        '/customFieldsList/3/value/longitude': 'must be a number',
        '/customFieldsList/3/value/height': 'is not a known field',
        '/customFieldsList/4/more': 'is not a known field',
        '/customFieldsList/5/key':
          'gives "D__c" a second time: also at /engagementInteraction/customFieldsList/4',
        '/engagementAttendees/0/endDateTime': 'must not be before startDateTime',
        '/engagementAttendees/0/isAuthenticated': 'is required',
        '/engagementTopics/0/name': 'is required',
        '/engagementTopics/1/name': 'must not be empty',
        '/engagementTopics/1/processStatus': 'must be one of: Canceled, Completed, Failed, Initiated',
        '/engagementTopics/2': 'must be an object',
      })
    })

    it('may have a channel of the org’s own, and no lists', async () => {
      const answer = await post({ engagementInteraction: interaction({ communicationChannel: 'Pigeon' }) })
      expect(answer.status).toBe(200)
    })

    it('has times of days that there are, in a zone', async () => {
      const times = [
        ['2022-02-30T12:00:00Z', '2022-13-01T12:00:00Z', '2022-04-17T25:00:00Z', '2022-04-17 12:00:00Z'],
        ['2022-04-17T12:00:00', '2022-04-17', 'T12:00:00Z', '2022-04-17T12:00 (noon)', ''],
      ].flat()
      const engagementAttendees = times.map((startDateTime) => ({
        ...{ startDateTime, isAuthenticated: true, isVerified: true },
      }))
      const issues = await issuesIn(interaction({ engagementAttendees }))
      expect(Object.keys(issues)).toEqual(times.map((_, at) => `/engagementAttendees/${at}/startDateTime`))
      for (const startDateTime of [
        '2022-04-17T12:00Z',
        '2024-02-29T23:59:59.5+05:30',
        '2022-04-17T12:00:00-0800',
      ])
        expect((await post({ engagementInteraction: interaction({ startDateTime }) })).status).toBe(200)
    })

    it('is looked at with its variables in place', async () => {
      const issues = await issuesOf({
        engagementInteraction: interaction({
          attendeeVerified: '{{verified}}',
          sentiment: '{{sentiment}}',
          reason: '{{nowhere}}',
          endDateTime: '{{end}}',
        }),
        variables: { verified: 'yes', sentiment: 'Positive', end: '2021-01-01T00:00:00Z' },
      })
      expect(issues).toEqual({
        '/engagementInteraction/attendeeVerified': 'must be true or false',
        '/engagementInteraction/reason': 'names the variable "nowhere", which variables does not hold',
        '/engagementInteraction/endDateTime': 'must not be before startDateTime',
      })
    })
  })

  describe('the call', () => {
    it('takes what a single write takes, and refuses the rest by name', async () => {
      expect(
        await issuesOf({
          groupRef: '',
          engagementInteraction: 'text',
          mode: 'later',
          headers: [],
          options: {},
          type: 'create',
          autoBatchPolicy: { maxDelaySeconds: 1, allOrNone: true, onRollback: 'resend', merge: true },
          colour: 'red',
        }),
      ).toMatchObject({
        '/groupRef': 'must not be empty',
        '/engagementInteraction': 'must be an object',
        '/mode': 'must be one of: synchronous, asynchronous',
        '/headers': 'is not a known field',
        '/options': 'is not a known field',
        '/type': 'is not a known field',
        '/colour': 'is not a known field',
        '/autoBatchPolicy/allOrNone': expect.stringContaining('is not for interactions') as string,
        '/autoBatchPolicy/onRollback': expect.stringContaining('is not for interactions') as string,
        '/autoBatchPolicy/merge': expect.stringContaining('cannot be true') as string,
      })
      expect(await issuesOf({})).toEqual({ '/engagementInteraction': 'is required' })
      const timing = await post({ engagementInteraction: interaction() }, { 'request-timeout': '0' })
      expect(timing.body.issues).toMatchObject([{ path: '/headers/request-timeout' }])
    })

    it('of an unknown group is a 404, and nothing of any of these was written', async () => {
      const answer = await post({ groupRef: 'nobody', engagementInteraction: interaction() })
      expect([answer.status, answer.body.code]).toEqual([404, 'NOT_FOUND'])
      expect(service.simulator.org.count('EngagementInteraction')).toBe(4)
    })
  })
})
