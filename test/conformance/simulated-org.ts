import { afterAll, beforeAll, beforeEach } from 'vitest'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Session } from '../../src/model/credentials.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import type { Provider, ProviderGroup } from '../../src/providers/provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { startSimulator, type Org, type RequestEntry, type Simulator } from '../../src/simulator/start.ts'

/** A provider against a simulated org, fresh before each test, with its durations under the test's hand. */
export interface SimulatedOrg {
  readonly provider: Provider
  readonly session: Session
  readonly org: Org
  /** Moves the provider's time of durations forward; its timers go on as they are. */
  pass(ms: number): void
  /** The requests of the test so far but those for sessions. */
  requests(): RequestEntry[]
}

export const limits = { timeoutMs: 20_000 }

/** Starts an org for the tests of a file. */
export function simulatedOrg(): SimulatedOrg {
  let simulator: Simulator
  let provider: Provider
  let session: Session
  let offset = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + offset }

  beforeAll(async () => {
    simulator = await startSimulator({ seed: 11 })
    simulator.org.defineObject({
      name: 'Numbered__c',
      fields: [
        { name: 'Number__c', type: 'double', precision: 18, externalId: true, unique: true },
        { name: 'Colour__c', type: 'string' },
      ],
    })
  })
  beforeEach(async () => {
    simulator.org.reset()
    provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true, clock })
    const loginUrl = simulator.url
    session = await provider.openSession(
      {
        type: 'oauth2-refresh-token',
        clientId: 'writeback-demo',
        clientSecret: 'demo-secret',
        refreshToken: 'demo-refresh-token',
        loginUrl,
      },
      limits,
    )
    return () => provider.close()
  })
  afterAll(() => simulator.close())

  return {
    get provider() {
      return provider
    },
    get session() {
      return session
    },
    get org() {
      return simulator.org
    },
    pass: (ms) => {
      offset += ms
    },
    requests: () => simulator.org.requests.list((entry) => entry.operation !== 'token'),
  }
}

/** A group of Contacts to create, unless said otherwise. */
export const group = (part: Partial<ProviderGroup> = {}): ProviderGroup => ({
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records: ['{"LastName":"One"}'],
  ...part,
})

/** The records of an answer; none for one that holds for the call as a whole. */
export const recordsOf = (answer: CallAnswer | undefined): RecordAnswer[] =>
  answer?.kind === 'answered' ? answer.records : []
