import { WritebackError } from '../kernel/errors.ts'
import type {
  FieldSummary,
  ObjectSummary,
  PassedAnswer,
  PassedMethod,
  QueryAsked,
  QueryPage,
} from '../providers/reading-provider.ts'
import { Deadline } from './deadline.ts'
import { createDescriptions, type Descriptions } from './descriptions.ts'
import type { Endpoint } from './endpoint.ts'
import { isTimeout, readFailed, refusedInput, unanswered, wordsOf } from './failures.ts'
import { refusesSession, runCall, type Caller } from './run-call.ts'
import type { ReadTarget } from './sessions.ts'
import type { WriteEffect } from './write-effects.ts'
import { checkEffects, needsObjectNames } from './write-rules.ts'

/** A call of the provider's API as its caller made it up. */
export interface CustomCall {
  method: PassedMethod
  endpoint: Endpoint
  /** Names in lower case. */
  headers: readonly { key: string; value: string }[]
  body: string | null
  /** What it would write. */
  effects: readonly WriteEffect[]
}

/** The synchronous reads, and calls that are passed on. Each takes at most `timeMs` milliseconds. */
export interface Actions {
  /**
   * One page of a query.
   *
   * @param path JSON pointer of the statement, for the issue when the provider refuses it; default `/soql`
   * @throws {WritebackError} INVALID_REQUEST with the provider's words, NO_WORKING_CONNECTION,
   *   PROVIDER_UNREACHABLE or PROVIDER_TIMEOUT
   */
  query: (target: ReadTarget, asked: QueryAsked, timeMs: number, path?: string) => Promise<QueryPage>
  /**
   * Passes a call on and answers as the provider does, whatever the status.
   *
   * @throws {WritebackError} FORBIDDEN by the installation's configuration, OUTCOME_UNKNOWN when the answer of
   *   one was lost that may have written, and the errors of a read
   */
  call: (target: ReadTarget, call: CustomCall, timeMs: number) => Promise<PassedAnswer>
  /** The objects of the org that can be created and updated, of those that the installation lists. */
  objects: (target: ReadTarget, timeMs: number) => Promise<ObjectSummary[]>
  /**
   * The fields of an object that can be written.
   *
   * @param path JSON pointer of the object's name, for the issue when there is none of it
   */
  fields: (target: ReadTarget, objectName: string, path: string, timeMs: number) => Promise<FieldSummary[]>
  /** The instance of an installation's org, `https://HOST`, as its session has it. */
  instanceUrlOf: (installationId: string) => Promise<string>
  /** Cuts off what is under way, for a process that has to stop. */
  cut: () => void
}

/** Creates the actions; they keep nothing but what orgs were described to have. */
export function createActions(caller: Caller): Actions {
  const cut = new AbortController()
  const descriptions = createDescriptions(caller, cut.signal)
  const within = (timeMs: number): Deadline => new Deadline(caller.clock, timeMs, cut.signal)
  return {
    query: (target, asked, timeMs, path = '/soql') => query(caller, target, asked, path, within(timeMs)),
    call: (target, call, timeMs) => passOn(caller, descriptions, target, call, within(timeMs)),
    objects: (target, timeMs) => writableObjects(descriptions, target, within(timeMs)),
    fields: (target, objectName, path, timeMs) =>
      writableFields(descriptions, target, objectName, path, within(timeMs)),
    instanceUrlOf: async (installationId) => (await caller.sessions.open(installationId)).session.instanceUrl,
    cut: () => cut.abort(),
  }
}

async function query(
  caller: Caller,
  target: ReadTarget,
  asked: QueryAsked,
  path: string,
  deadline: Deadline,
): Promise<QueryPage> {
  const answer = await runCall(caller, target.id, deadline, (provider, session, limits) =>
    provider.query(session, asked, limits),
  )
  if (answer.kind === 'read') return answer.value
  if (answer.kind === 'refused' && answer.errorClass === 'permanent')
    throw refusedInput('soql' in asked ? path : '/nextRecordsUrl', answer.errors)
  throw readFailed(answer)
}

const isSafe = (method: PassedMethod): boolean => method === 'GET' || method === 'HEAD'

async function passOn(
  caller: Caller,
  descriptions: Descriptions,
  target: ReadTarget,
  call: CustomCall,
  deadline: Deadline,
): Promise<PassedAnswer> {
  const { method, endpoint, headers, body, effects } = call
  const known = needsObjectNames(effects, target.objects)
    ? await descriptions.objects(target.id, deadline)
    : []
  checkEffects(effects, target.objects, (prefix) => {
    const named = known.filter(({ keyPrefix }) => keyPrefix === prefix)
    return named.length === 1 ? (named[0]?.name ?? null) : null
  })
  const answer = await runCall(
    caller,
    target.id,
    deadline,
    (provider, session, limits) => {
      checkOrigin(endpoint, session.instanceUrl)
      return provider.request(session, { method, path: endpoint.path, headers, body }, limits)
    },
    (one) => refusesSession(one) && (one.kind !== 'passed' || isRepeatable(method, one)),
  )
  if (answer.kind === 'passed') {
    if (refusesSession(answer) && isRepeatable(method, answer) && answer.said.kind === 'refused')
      throw readFailed(answer.said)
    return answer
  }
  if (answer.kind === 'lost' && !isSafe(method)) throw maybeMade(answer.error)
  if (answer.kind === 'refused' && answer.errorClass === 'permanent')
    throw refusedInput('/endpoint', answer.errors)
  throw answer.kind === 'lost' ? unanswered(answer.error) : readFailed(answer)
}

/** Whether a call whose session was refused did nothing: a REST class of the org may answer 401 by itself (facts 1.4). */
const isRepeatable = (method: PassedMethod, { status, said }: PassedAnswer): boolean =>
  status === 401 &&
  said.kind === 'refused' &&
  (isSafe(method) || said.errors.some(({ code }) => code === 'INVALID_SESSION_ID'))

/** @throws {WritebackError} INVALID_REQUEST for a URL of another host than the session's */
function checkOrigin({ origin }: Endpoint, instanceUrl: string): void {
  if (origin === null || origin === URL.parse(instanceUrl)?.origin) return
  const message = "must be of the connection's own instance, or a path"
  throw new WritebackError('INVALID_REQUEST', `The body is invalid: /endpoint ${message}.`, {
    issues: [{ path: '/endpoint', message }],
    remedy: 'Give the path alone.',
  })
}

const maybeMade = (error: { code: string; message: string; fields: string[] }): WritebackError =>
  new WritebackError(
    'OUTCOME_UNKNOWN',
    `The answer was lost, so it is not known whether the call was carried out: ${wordsOf([error])}.`,
    {
      remedy: 'Look at the provider what it did before making the call again.',
      status: isTimeout(error) ? 504 : 502,
    },
  )

/** The name that a listed object has at the provider, whatever the caller calls it. */
function listedName({ objects }: ReadTarget, objectName: string): string | null {
  if (objects === null) return objectName
  const folded = objectName.toLowerCase()
  return [...objects].find(([name]) => name.toLowerCase() === folded)?.[1].objectName ?? null
}

async function writableObjects(
  descriptions: Descriptions,
  target: ReadTarget,
  deadline: Deadline,
): Promise<ObjectSummary[]> {
  const all = await descriptions.objects(target.id, deadline)
  const listed =
    target.objects === null
      ? null
      : new Set([...target.objects.values()].map(({ objectName }) => objectName.toLowerCase()))
  return all.filter(
    ({ name, createable, updateable }) =>
      createable && updateable && (listed === null || listed.has(name.toLowerCase())),
  )
}

async function writableFields(
  descriptions: Descriptions,
  target: ReadTarget,
  objectName: string,
  path: string,
  deadline: Deadline,
): Promise<FieldSummary[]> {
  const name = listedName(target, objectName)
  if (name === null)
    throw new WritebackError(
      'FORBIDDEN',
      `The installation's configuration does not list the object ${objectName}.`,
      { remedy: 'List the object in the installation, or name one that it lists.' },
    )
  // A name that the org does not list costs it no call.
  const all = await descriptions.objects(target.id, deadline)
  const object = all.find((one) => one.name.toLowerCase() === name.toLowerCase())
  const fields = object === undefined ? null : await descriptions.fields(target.id, object.name, deadline)
  if (fields === null) throw unknownObject(path, objectName)
  return fields.filter(({ createable, updateable }) => createable || updateable)
}

function unknownObject(path: string, objectName: string): WritebackError {
  const message = `names no object of the org: ${JSON.stringify(objectName)}`
  return new WritebackError('INVALID_REQUEST', `The body is invalid: ${path} ${message}.`, {
    issues: [{ path, message }],
    remedy: 'Name one of the objects that the list of objects has.',
  })
}
