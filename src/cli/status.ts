import type { BatchGetAnswer, Operation, OperationLog } from '../contract/operation.ts'
import { path } from './api.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { exitOf, hasEnded, showOperation, showOperations, waitFor, worstExit } from './operations.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { projectOption, serviceOptions } from './target.ts'
import { tidy } from './text.ts'

/** The most operations that one call gets by id. */
const MAX_IDS = 1_000

export const spec: Spec = {
  name: 'status',
  usage: ['ID... [--wait] [--logs]'],
  about: [
    'Shows what became of writes, by the ids of their operations. The exit code says the same: 0 for one that succeeded, 3, 4 or 5 for others; of several, the one that has to be looked at first (4, 7, 3, 5).',
  ],
  maxArguments: MAX_IDS,
  options: {
    ...projectOption,
    wait: { help: 'wait until they have ended' },
    timeout: { value: 'SECONDS', help: 'the longest that --wait waits, for all of them (default 60)' },
    logs: { help: 'with the log of each: every try and what the provider answered' },
    ...serviceOptions,
  },
  examples: [
    ['How is it going?', 'writeback status -p acme 0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'],
    ['Wait for the outcome, ten seconds at most', 'writeback status -p acme --wait --timeout 10 $ID'],
    ['Only the state', 'writeback status -p acme --json $ID | jq -r .metadata.state'],
  ],
  exits: ['done', 'failed', 'usage', 'notWritten', 'inDoubt', 'waiting', 'refused'],
}

interface Given {
  project: string
  ids: string[]
  isWaiting: boolean
  timeoutMs: number
  withLogs: boolean
}

/** `writeback status` */
export const { run } = serviceCommand(
  spec,
  (input): Given => {
    if (input.positionals.length === 0) input.issue('ID is required: the id of an operation')
    const isWaiting = input.flag('wait')
    if (!isWaiting && input.text('timeout') !== undefined) input.issue('--timeout is for --wait')
    return {
      project: input.required('project'),
      ids: [...new Set(input.positionals.map((id) => id.toLowerCase()))],
      isWaiting,
      timeoutMs: input.number('timeout', 60, { min: 0, max: 172_800, isFraction: true }) * 1000,
      withLogs: input.flag('logs'),
    }
  },
  async (given, session) => (given.ids.length === 1 ? showOne(given, session) : showSeveral(given, session)),
)

async function showOne({ project, ids, isWaiting, timeoutMs, withLogs }: Given, session: Session) {
  const { api, output } = session
  const [id = ''] = ids
  const operation = await waitFor(api, project, id, isWaiting ? timeoutMs : 0)
  showOperation(output, operation)
  const logs = withLogs ? await logsOf(session, project, operation) : undefined
  output.json(logs === undefined ? operation : { ...operation, logs })
  return exitOf(operation.metadata.state)
}

async function showSeveral({ project, ids, isWaiting, timeoutMs, withLogs }: Given, session: Session) {
  const { api, output } = session
  const target = path`/v1/projects/${project}/operations:batchGet`
  const look = async (): Promise<BatchGetAnswer> =>
    (await api.call('POST', target, { body: { ids }, isRepeatable: true })).body as BatchGetAnswer
  const end = performance.now() + (isWaiting ? timeoutMs : 0)
  let found = await look()
  for (;;) {
    const open = found.operations.find((operation) => !hasEnded(operation))
    const leftMs = end - performance.now()
    if (open === undefined || leftMs <= 0) break
    await waitFor(api, project, open.id, leftMs)
    found = await look()
  }
  const { operations, missing } = found
  if (operations.length > 0) showOperations(output, operations)
  const withTheirs = []
  for (const operation of operations) {
    if (withLogs) output.line(`\n${operation.id}`)
    withTheirs.push(withLogs ? { ...operation, logs: await logsOf(session, project, operation) } : operation)
  }
  output.json({ operations: withTheirs, missing })
  for (const id of missing) output.note(`There is no operation ${tidy(id)}.`)
  const codes = operations.map(({ metadata }) => exitOf(metadata.state))
  return worstExit(missing.length > 0 ? [...codes, exitCodes.refused] : codes)
}

async function logsOf({ api, output }: Session, project: string, { id }: Operation): Promise<OperationLog[]> {
  const logs = await api.get<OperationLog[]>(path`/v1/projects/${project}/operations/${id}/logs`)
  for (const { timestamp, severity, message } of logs) {
    const { msg, ...facts } = message
    const shown = output.paint(
      severity === 'error' ? 'red' : severity === 'warning' ? 'yellow' : 'dim',
      severity,
    )
    output.line(`  ${timestamp}  ${shown}  ${tidy(msg)}`)
    if (Object.keys(facts).length > 0) output.line(`    ${tidy(JSON.stringify(facts))}`)
  }
  return logs
}
