import { setTimeout as delay } from 'node:timers/promises'
import type { Integration } from '../contract/integrations.ts'
import type { BatchGetAnswer, Operation } from '../contract/operation.ts'
import { path, ServiceError, type Api } from './api.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { findInstallations, installationPath } from './installations.ts'
import { errorOf, hasCode, stateText, styleOf } from './operations.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { createFollower, type Follower, type ListQuery } from './tail/follower.ts'
import { groupOption, integrationOption, projectOption, serviceOptions } from './target.ts'
import { tidy } from './text.ts'

export const spec: Spec = {
  name: 'tail',
  usage: ['[--group GROUP] [--status STATUS] [--code CODE]'],
  about: [
    'Shows the outcomes of writes as they come, a line each, until Ctrl-C: of one customer, of an integration, or of the whole project. Each outcome is shown once and none is left out, also when the service is away for up to a minute. What is sent again or settled by hand is shown again, with its new outcome.',
    'With --json each line is the operation as status --json shows it.',
  ],
  options: {
    ...projectOption,
    ...integrationOption,
    ...groupOption,
    status: { value: 'STATUS', help: 'only success or failure' },
    code: { value: 'CODE', isRepeatable: true, help: 'only those with an error of this code' },
    object: { value: 'OBJECT', help: 'only those on this object' },
    limit: { value: 'N', short: 'n', help: 'end after so many' },
    for: { value: 'SECONDS', help: 'end after so long' },
    ...serviceOptions,
  },
  examples: [
    ['Everything', 'writeback tail -p acme'],
    ['What goes wrong, of one customer', 'writeback tail -p acme -i crm -g customer-42 --status failure'],
    [
      'The codes of the next hundred failures',
      "writeback tail -p acme --status failure -n 100 --json \\\n    | jq -r '.metadata.records[].errors[].code' | sort | uniq -c",
    ],
  ],
  exits: ['done', 'failed', 'usage', 'refused', 'interrupted'],
}

/** Milliseconds between two looks: while outcomes are awaited, and while there is nothing to await. */
const BUSY_MS = 400
const IDLE_MS = 1_000
/** Milliseconds between two looks that go back further, and between two for new installations. */
const DEEP_MS = 5_000
const INSTALLATIONS_MS = 10_000
/** Installations that are looked at together. */
const WIDTH = 4

interface Given {
  project: string
  integration: string | null
  group: string | null
  status: string | undefined
  codes: string[]
  object: string | undefined
  limit: number
  forMs: number
}

/** `writeback tail` */
export const { run } = serviceCommand(
  spec,
  (input): Given => {
    const [integration, group] = [input.text('integration') ?? null, input.text('group') ?? null]
    if (group !== null && integration === null) input.issue('--group needs --integration')
    return {
      project: input.required('project'),
      integration,
      group,
      status: input.choice('status', ['success', 'failure']),
      codes: input.list('code'),
      object: input.text('object'),
      limit: input.number('limit', Infinity, { min: 1, max: 9_999_999_999 }),
      forMs: input.number('for', Infinity, { min: 0, max: 2_592_000, isFraction: true }) * 1000,
    }
  },
  tail,
  { patienceMs: 60_000 },
)

async function tail(given: Given, session: Session): Promise<number> {
  const { api, output, signal } = session
  const { headers } = await api.call('GET', path`/v1/projects/${given.project}`)
  const start = serverTime(headers)
  let left = given.limit
  const tell = (operations: Operation[]): void => {
    for (const operation of operations) {
      if (left === 0 || !isWanted(operation, given)) continue
      left -= 1
      output.json(operation)
      if (!output.isJson) showOutcome(operation, session)
    }
  }
  const followers = new Map<string, Follower>()
  const end = performance.now() + given.forMs
  let deepAt = 0
  let installationsAt = 0
  while (left > 0 && performance.now() < end) {
    if (performance.now() >= installationsAt) {
      await findFollowers(given, session, { followers, start, tell })
      installationsAt = performance.now() + INSTALLATIONS_MS
    }
    const isDeep = performance.now() >= deepAt
    if (isDeep) deepAt = performance.now() + DEEP_MS
    await lookAtAll([...followers.values()], isDeep)
    const isBusy = [...followers.values()].some((follower) => follower.awaited > 0)
    const pauseMs = Math.min(isBusy ? BUSY_MS : IDLE_MS, Math.max(0, end - performance.now()))
    if (left > 0) await delay(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
  return exitCodes.done
}

/** The service's own clock, against which the times of operations are read. */
function serverTime(headers: Headers): number {
  const time = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(time) ? Date.now() : time
}

interface Following {
  followers: Map<string, Follower>
  start: number
  tell: (operations: Operation[]) => void
}

/** Begins to follow the installations that are new. */
async function findFollowers(given: Given, { api }: Session, following: Following): Promise<void> {
  const { project, integration, group } = given
  const { followers, start, tell } = following
  const integrations =
    integration === null
      ? (await api.all<Integration>(path`/v1/projects/${project}/integrations`)).map(({ id }) => id)
      : [integration]
  const there = new Set<string>()
  for (const one of integrations)
    for (const { id } of await findInstallations(api, { project, integration: one, group })) {
      there.add(id)
      if (!followers.has(id))
        followers.set(id, follow(api, project, installationPath(project, one, id), start, tell))
    }
  for (const [id, follower] of followers) if (!there.has(id) && follower.awaited === 0) followers.delete(id)
}

function follow(
  api: Api,
  project: string,
  installation: string,
  start: number,
  tell: Following['tell'],
): Follower {
  let heard = start
  const list = async (query: ListQuery) => {
    const { headers, body } = await api.call('GET', `${installation}/operations`, { query: { ...query } })
    heard = serverTime(headers)
    const { results, pagination } = body as { results: Operation[]; pagination: { nextPageToken?: string } }
    return { results, next: pagination.nextPageToken }
  }
  const get = async (ids: string[]): Promise<BatchGetAnswer> => {
    const target = path`/v1/projects/${project}/operations:batchGet`
    return (await api.call('POST', target, { body: { ids }, isRepeatable: true })).body as BatchGetAnswer
  }
  return createFollower({ list, get, now: () => heard }, start, tell)
}

/** Some at a time: a project may have thousands. */
async function lookAtAll(followers: Follower[], isDeep: boolean): Promise<void> {
  const queue = followers.values()
  const lane = async (): Promise<void> => {
    // One iterator for all lanes: each is taken once.
    for (const follower of queue) await follower.look(isDeep).catch(unlessDeleted)
  }
  await Promise.all(Array.from({ length: Math.min(WIDTH, followers.length) }, lane))
}

/** An installation may be deleted while it is followed; what is awaited of it is still found by its ids. */
function unlessDeleted(error: unknown): void {
  if (!(error instanceof ServiceError) || error.problem?.status !== 404) throw error
}

const isWanted = (operation: Operation, { status, codes, object }: Given): boolean =>
  (status === undefined || operation.status === status) &&
  (object === undefined || operation.resource === object) &&
  (codes.length === 0 || codes.some((code) => hasCode(operation, code)))

function showOutcome(operation: Operation, { output }: Session): void {
  const { id, resource, updateTime, metadata, result } = operation
  const { state, successfulRecordIds, reference } = metadata
  const time = new Date(updateTime).toTimeString().slice(0, 8)
  const shown = output.paint(styleOf(state), stateText(state).padEnd(9))
  const what = [resource, successfulRecordIds[0] ?? '', reference ?? ''].filter((text) => text !== '')
  output.line(`${time}  ${shown}  ${id}  ${tidy(what.join('  '))}`)
  if (state === 'succeeded') return
  const error = errorOf(operation)
  output.line(`${' '.repeat(21)}${tidy(error === null ? result : `${error.code}: ${error.message}`)}`)
}
