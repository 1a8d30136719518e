import { systemClock, type Clock } from '../../kernel/clock.ts'
import type { Logger } from '../../kernel/log.ts'
import { noTelemetry, type Telemetry } from '../../kernel/telemetry.ts'
import type { CallAnswer } from '../../model/outcome.ts'
import type { Session } from '../../model/credentials.ts'
import type { CallOptions, FieldsRead, LookedUp, Provider } from '../provider.ts'
import type { Passed, ProviderRead, ReadingProvider } from '../reading-provider.ts'
import { lostAnswer, type Unanswered } from './answer.ts'
import { CallSeries, refusedHere } from './call-series.ts'
import { updateCollision } from './collisions.ts'
import { InvalidGroup } from './collections.ts'
import { ConnectionCache } from './connections.ts'
import { describeGlobal, describeObject } from './describe.ts'
import { ExpiringSet } from './expiring-set.ts'
import { asRead } from './fetch-json.ts'
import { createHttpClient } from './http.ts'
import { lookUpInteractions } from './look-up-interactions.ts'
import { observeHttp } from './observed-http.ts'
import { OutboundRefused, type OutboundPolicy } from './outbound.ts'
import { passRequest } from './passed-request.ts'
import { queryPage } from './query.ts'
import { readFields } from './read-fields.ts'
import { sendGroups } from './send-groups.ts'
import { openSession } from './session.ts'

/** The API version that every call names (facts, scope: 60.0 is the oldest that has all that is used). */
export const DEFAULT_API_VERSION = '67.0'

/** How long an org that refused a composite call is not asked for another one. */
const COMPOSITE_REFUSED_MS = 3_600_000
/** How long it is remembered that a field holds numbers; it hardly ever changes. */
const NUMERIC_FIELD_MS = 24 * 3_600_000

/** Settings of {@link createSalesforceProvider}. */
export interface SalesforceOptions {
  logger: Logger
  /** For example `67.0`; see {@link DEFAULT_API_VERSION}. */
  apiVersion?: string
  /** Allows private and loopback hosts, and plain http to those: the simulator, tests. */
  allowInsecure: boolean
  clock?: Clock
  telemetry?: Pick<Telemetry, 'providerCalled'>
}

/**
 * Salesforce through jsforce, over a transport of our own: sObject Collections for writes, several groups
 * in one composite call (facts 3, 4.1), single-record calls where a collision has to be learnt (facts 7.2),
 * retrieve and query for reads. Nothing is retried in here; what to do next is decided by whoever called.
 */
export function createSalesforceProvider(options: SalesforceOptions): Provider & ReadingProvider {
  const { logger, apiVersion = DEFAULT_API_VERSION, allowInsecure, clock = systemClock } = options
  const { telemetry = noTelemetry } = options
  const policy: OutboundPolicy = { allowInsecure }
  const http = observeHttp(createHttpClient({ policy, clock }), clock, telemetry)
  const connections = new ConnectionCache(policy, apiVersion)
  const withoutComposite = new ExpiringSet(clock, COMPOSITE_REFUSED_MS)
  const numeric = new ExpiringSet(clock, NUMERIC_FIELD_MS)

  /** @throws {OutboundRefused} */
  const seriesFor = (session: Session, limits: CallOptions): CallSeries =>
    new CallSeries(connections.get(session), http, clock, limits)

  /** What a thrown error means for what was not answered before it. */
  function answerTo(error: unknown): Unanswered {
    if (error instanceof OutboundRefused) return refusedHere(error.code, error.message, 'auth')
    if (error instanceof InvalidGroup) return refusedHere('INVALID_GROUP', error.message, 'permanent')
    // A fault of ours, at a point that is not known: the one safe word is that it may have been written.
    logger.error({ err: error }, 'a call failed in an unforeseen way')
    return lostAnswer(null, 'INTERNAL', 'The provider failed in an unforeseen way; the log says how.')
  }

  /** Runs calls on one session; what they throw becomes the answer. */
  async function run<T>(
    session: Session,
    limits: CallOptions,
    work: (series: CallSeries) => Promise<T>,
  ): Promise<{ answer: T | Unanswered; calls: number }> {
    let series: CallSeries | null = null
    try {
      series = seriesFor(session, limits)
      const answer = await work(series)
      return { answer, calls: series.calls }
    } catch (error) {
      return { answer: answerTo(error), calls: series?.calls ?? 0 }
    }
  }

  /** A read: nothing was written, whatever went wrong. */
  async function read<T>(
    session: Session,
    limits: CallOptions,
    work: (series: CallSeries) => Promise<ProviderRead<T>>,
  ): Promise<{ answer: ProviderRead<T>; calls: number }> {
    const { answer, calls } = await run<ProviderRead<T>>(session, limits, work)
    return { answer: answer.kind === 'read' ? answer : asRead(answer), calls }
  }

  return {
    name: 'salesforce',
    openSession: (credentials, limits) => openSession({ http, policy, clock }, credentials, limits),
    async sendGroups(session, groups, limits) {
      const answers: (CallAnswer | undefined)[] = groups.map(() => undefined)
      const { instanceUrl } = session
      const composite = {
        apiVersion,
        isRefused: () => withoutComposite.has(instanceUrl),
        noteRefused: () => withoutComposite.add(instanceUrl),
      }
      const { answer, calls } = await run(session, limits, async (series) => {
        await sendGroups(series, groups, composite, answers)
        return null
      })
      const missing = answer ?? lostAnswer(null, 'NO_ANSWER', 'The provider gave no answer for this group.')
      return { answers: answers.map((one) => one ?? missing), calls }
    },
    updateCollision: (session, group, position, limits) =>
      run<CallAnswer>(session, limits, (series) => updateCollision(series, group, position)),
    async readFields(session, read, limits) {
      const use = { apiVersion, instanceUrl: session.instanceUrl, numeric }
      const { answer, calls } = await run<FieldsRead>(session, limits, (series) =>
        readFields(series, read, use),
      )
      // Nothing was written, whatever went wrong.
      return { answer: answer.kind === 'lost' ? { kind: 'not_sent', error: answer.error } : answer, calls }
    },
    async lookUp(session, lookUp, limits) {
      const use = { apiVersion, instanceUrl: session.instanceUrl, numeric }
      const { answer, calls } = await run<LookedUp>(session, limits, (series) =>
        lookUpInteractions(series, lookUp, use, clock),
      )
      return { answer: answer.kind === 'found' ? answer : asRead(answer), calls }
    },
    query: (session, asked, limits) => read(session, limits, (series) => queryPage(series, asked)),
    describeGlobal: (session, limits) => read(session, limits, describeGlobal),
    describeObject: (session, objectName, limits) =>
      read(session, limits, (series) => describeObject(series, objectName)),
    request: (session, request, limits) =>
      run<Passed>(session, limits, (series) => passRequest(series, request, session, apiVersion)),
    async close() {
      connections.clear()
      await http.close()
    },
  }
}
