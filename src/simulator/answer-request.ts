import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './api-error.ts'
import { idsOf } from './call-facts.ts'
import type { CallFacts } from './call-facts.ts'
import { isJsonObject } from './call.ts'
import type { Call } from './call.ts'
import { cannedAnswers, loginPage } from './canned-answers.ts'
import { canContend, contend } from './contention.ts'
import { execute } from './execute.ts'
import type { FaultAction, FaultPlan } from './faults.ts'
import type { Org } from './org.ts'
import type { RequestEntry } from './request-log.ts'
import { OAuthError } from './token-endpoint.ts'

/** What the caller gets to see of a request. */
export type Delivery =
  | { kind: 'answer'; answer: Answer }
  /** The headers and half of the body. */
  | { kind: 'cut'; answer: Answer }
  /** The connection ends without an answer. */
  | { kind: 'drop' }
  /** The connection stays and no answer comes. */
  | { kind: 'hang' }

/** Runs a call under the faults, gates, latency and contention that apply to it. */
export async function answerRequest(
  org: Org,
  facts: CallFacts,
  plan: FaultPlan,
  entry: RequestEntry,
): Promise<Delivery> {
  const { call } = facts
  const parts = facts.parts?.length ?? 0
  if (!canContend(org)) return run(org, call, parts, plan, entry)
  call.contention = await contend(org, facts)
  try {
    return await run(org, call, parts, plan, entry)
  } finally {
    call.contention.release()
  }
}

async function run(
  org: Org,
  call: Call,
  parts: number,
  plan: FaultPlan,
  entry: RequestEntry,
): Promise<Delivery> {
  // An `allFailed400` is added where it shows.
  entry.faults = plan.actions.map((action) => action.type).filter((type) => type !== 'allFailed400')
  const latency = drawLatency(org) + parts * org.settings.compositePartMs
  if (latency > 0) await pause(latency)
  await wait(plan, 'before')
  if (plan.actions.some((action) => action.type === 'expireSessions')) org.sessions.expireAll()
  const early = first(plan, withoutExecution)
  if (early) return early
  const answer = execute(org, call, entry)
  entry.ids = idsOf(answer.body)
  await wait(plan, 'after')
  return first(plan, (action) => afterExecution(org, action, answer, entry)) ?? { kind: 'answer', answer }
}

function first(plan: FaultPlan, decide: (action: FaultAction) => Delivery | undefined): Delivery | undefined {
  for (const action of plan.actions) {
    const delivery = decide(action)
    if (delivery) return delivery
  }
  return undefined
}

/** Gates and delays of one phase. Nothing is awaited when there are none, so that a plain call runs at once. */
async function wait(plan: FaultPlan, phase: 'before' | 'after'): Promise<void> {
  for (const action of plan.actions) {
    if (action.type === 'delay' && (action.when ?? 'before') === phase) await pause(action.ms)
  }
  for (const gate of plan.gates) if (gate.when === phase) await gate.hold()
}

/** A wait that does not keep the process alive. */
const pause = (ms: number): Promise<void> => sleep(ms, undefined, { ref: false })

function withoutExecution(action: FaultAction): Delivery | undefined {
  switch (action.type) {
    case 'dropBefore':
      return { kind: 'drop' }
    case 'hang':
      return action.when === 'after' ? undefined : { kind: 'hang' }
    case 'status':
      return action.when === 'after' ? undefined : { kind: 'answer', answer: statusAnswer(action) }
    case 'redirect':
      return { kind: 'answer', answer: { status: 302, headers: { Location: action.location } } }
    case 'html200':
      return { kind: 'answer', answer: loginPage }
    case 'invalidGrant': {
      const description = action.description ?? 'expired access/refresh token'
      return { kind: 'answer', answer: new OAuthError('invalid_grant', description).toAnswer() }
    }
    default:
      return undefined
  }
}

function afterExecution(
  org: Org,
  action: FaultAction,
  answer: Answer,
  entry: RequestEntry,
): Delivery | undefined {
  switch (action.type) {
    case 'dropAfter':
      return { kind: 'drop' }
    case 'cutAnswer':
      return { kind: 'cut', answer }
    case 'hang':
      return { kind: 'hang' }
    case 'status':
      return { kind: 'answer', answer: statusAnswer(action) }
    case 'forgetRecord':
      return { kind: 'answer', answer: { ...answer, body: withoutItem(answer.body, action.index) } }
    case 'forgetPart':
      return { kind: 'answer', answer: { ...answer, body: withoutPart(answer.body, action.index) } }
    case 'wrongShape':
      return {
        kind: 'answer',
        answer: { ...answer, status: 200, body: action.body ?? { unexpected: 'shape' } },
      }
    case 'allFailed400': {
      if (!allFailed(answer)) return undefined
      org.faults.spendAllFailed400(action)
      entry.faults.push(action.type)
      return { kind: 'answer', answer: { ...answer, status: 400 } }
    }
    default:
      return undefined
  }
}

function statusAnswer(action: FaultAction & { type: 'status' }): Answer {
  if ('canned' in action) return cannedAnswers[action.canned]
  const { status, body, headers } = action
  return { status, body, ...(headers ? { headers } : {}) }
}

const allFailed = (answer: Answer): boolean =>
  Array.isArray(answer.body) &&
  answer.body.length > 0 &&
  answer.body.every((item) => isJsonObject(item) && item.success === false)

/** A copy of an answer's array, of a composite answer's first array, or of a batch's results, that lacks one item. */
function withoutItem(body: unknown, index: number | undefined): unknown {
  if (Array.isArray(body)) return body.toSpliced(index ?? body.length - 1, 1)
  if (isJsonObject(body) && Array.isArray(body.results))
    return { ...body, results: withoutItem(body.results, index) }
  if (!isJsonObject(body) || !Array.isArray(body.compositeResponse)) return body
  const parts: unknown[] = body.compositeResponse
  const position = parts.findIndex((part) => isJsonObject(part) && Array.isArray(part.body))
  return {
    ...body,
    compositeResponse: parts.map((part, i) =>
      i === position && isJsonObject(part) ? { ...part, body: withoutItem(part.body, index) } : part,
    ),
  }
}

/** A copy of a composite answer that lacks one subrequest's. */
function withoutPart(body: unknown, index: number | undefined): unknown {
  if (!isJsonObject(body) || !Array.isArray(body.compositeResponse)) return body
  const parts: unknown[] = body.compositeResponse
  return { ...body, compositeResponse: parts.toSpliced(index ?? parts.length - 1, 1) }
}

function drawLatency(org: Org): number {
  const { latencyMs } = org.settings
  return typeof latencyMs === 'number'
    ? latencyMs
    : latencyMs.min + org.random() * (latencyMs.max - latencyMs.min)
}
