import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Operation } from '../contract/operation.ts'
import { tally } from '../kernel/tally.ts'
import { path, ServiceError, type Api } from './api.ts'
import type { Input, Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { findInstallations, installationPath, type Place } from './installations.ts'
import { errorOf, hasCode } from './operations.ts'
import type { Host } from './process.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { groupOption, integrationOption, projectOption, serviceOptions } from './target.ts'
import { counted, tidy } from './text.ts'

/** The most operations of one run: their ids are held until all are found, the oldest being retried first. */
const MAX_OPERATIONS = 200_000
/** Refusals that are named one by one. */
const MAX_NAMED = 1_000

export const spec: Spec = {
  name: 'retry',
  usage: ['ID...', '--failed [--code CODE] [--group GROUP] …'],
  about: [
    'Sends writes again that failed: by the ids of their operations, or all that failed, or those of one code. The oldest goes first, so that writes to one record keep their order.',
    'What is chosen by --failed or --in-doubt is counted and asked for before anything is sent; where nobody can be asked, --yes has to be given. --dry-run counts and sends nothing.',
  ],
  maxArguments: 1_000,
  options: {
    ...projectOption,
    ...integrationOption,
    ...groupOption,
    failed: { help: 'all that failed' },
    'in-doubt': {
      help: 'all in doubt. A create in doubt may have been written: without an idempotencyField, sending it again can make a second record',
    },
    code: { value: 'CODE', isRepeatable: true, help: 'only those with an error of this code' },
    object: { value: 'OBJECT', help: 'only those on this object' },
    since: { value: 'AGE', help: 'only those accepted since: 30m, 12h, 7d' },
    'dry-run': { help: 'tell how many there are; send nothing' },
    yes: { short: 'y', help: 'send without asking' },
    ...serviceOptions,
  },
  examples: [
    ['One', 'writeback retry -p acme 0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'],
    [
      'How many failed for a field that was missing, of all customers',
      'writeback retry -p acme -i crm --failed --code INVALID_FIELD --dry-run',
    ],
    [
      'Send them again, now that it is there',
      'writeback retry -p acme -i crm --failed --code INVALID_FIELD --yes',
    ],
  ],
  exits: ['done', 'failed', 'usage', 'refused', 'interrupted'],
}

interface Chosen {
  place: Place
  states: string[]
  codes: string[]
  object: string | undefined
  /** Milliseconds; null without a bound. */
  ageMs: number | null
}

interface Given {
  project: string
  ids: string[]
  chosen: Chosen | null
  isDryRun: boolean
  isSure: boolean
}

/** `writeback retry` */
export const { run } = serviceCommand(spec, readGiven, async (given, session) => {
  const { output } = session
  const { ids, byCode } =
    given.chosen === null ? { ids: given.ids, byCode: {} } : await find(given.chosen, session)
  const counts = { matched: ids.length, byCode }
  for (const [code, count] of Object.entries(byCode))
    output.line(`  ${code.padEnd(34)} ${count.toLocaleString('en-US')}`)
  if (given.isDryRun || ids.length === 0) {
    output.line(
      ids.length === 0 ? 'Nothing to retry.' : `${counted(ids.length, 'operation')} would be sent again.`,
    )
    output.json({ ...counts, retried: 0, refused: [], isDryRun: given.isDryRun })
    return exitCodes.done
  }
  if (given.chosen !== null && !given.isSure && !(await isAgreed(ids.length, session))) {
    output.note('Nothing was sent.')
    return exitCodes.done
  }
  const { retried, refused, refusedCount } = await retryAll(given.project, ids, session)
  output.json({ ...counts, retried, refused, isDryRun: false })
  output.line(`${counted(retried, 'operation')} sent again${refusedCount > 0 ? `, ${refusedCount} not` : ''}`)
  return refusedCount > 0 ? exitCodes.refused : exitCodes.done
})

function readGiven(input: Input, host: Host): Given {
  const ids = input.positionals
  const project = input.required('project')
  const isDryRun = input.flag('dry-run')
  const isSure = input.flag('yes')
  const states = [
    ...(input.flag('failed') ? ['failed'] : []),
    ...(input.flag('in-doubt') ? ['in_doubt'] : []),
  ]
  const age = input.text('since')
  if (age !== undefined && ageMs(age) === null)
    input.issue(`--since must be an age like 30m, 12h or 7d, not ${JSON.stringify(age)}`)
  if (ids.length > 0) {
    for (const name of ['failed', 'in-doubt', 'code', 'object', 'since', 'dry-run'])
      if (input.flag(name)) input.issue(`--${name} is not for operations by their ids`)
    return { project, ids, chosen: null, isDryRun, isSure }
  }
  if (states.length === 0) input.issue('name operations, or give --failed or --in-doubt')
  if (!isDryRun && !isSure && !canAsk(host))
    input.issue('--yes is required where nobody can be asked, or --dry-run')
  const place = { project, integration: input.required('integration'), group: input.text('group') ?? null }
  const chosen = {
    place,
    states,
    codes: input.list('code'),
    object: input.text('object'),
    ageMs: age === undefined ? null : ageMs(age),
  }
  return { project, ids, chosen, isDryRun, isSure }
}

const canAsk = ({ stdin, stderr }: Host): boolean => stdin.isTTY === true && stderr.isTTY === true

function ageMs(text: string): number | null {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (count === undefined) return null
  return Number(count) * 1000 * ({ s: 1, m: 60, h: 3_600, d: 86_400 }[unit ?? ''] ?? 0)
}

/** The operations that are meant, oldest first, and how many there are of each code. */
async function find(
  chosen: Chosen,
  { api }: Session,
): Promise<{ ids: string[]; byCode: Record<string, number> }> {
  const { place, object, ageMs } = chosen
  const after = ageMs === null ? null : Date.now() - ageMs
  const ids: string[] = []
  const codes: string[] = []
  for (const { id } of await findInstallations(api, place)) {
    const list = `${installationPath(place.project, place.integration, id)}/operations`
    for await (const page of api.pages<Operation>(list, { status: 'failure', objectName: object })) {
      const recent = page.filter(({ createTime }) => after === null || Date.parse(createTime) >= after)
      for (const operation of recent) {
        if (!isMeant(operation, chosen)) continue
        ids.push(operation.id)
        codes.push(errorOf(operation)?.code ?? '(no code)')
      }
      if (ids.length > MAX_OPERATIONS)
        throw new Error(
          `More than ${counted(MAX_OPERATIONS, 'operation')} match: narrow it with --code, --group, --object or --since.`,
        )
      if (recent.length < page.length) break
    }
  }
  // Newest first is how they are listed; ids are in the order of acceptance.
  return { ids: ids.sort(), byCode: tally(codes) }
}

const isMeant = (operation: Operation, { states, codes }: Chosen): boolean =>
  states.includes(operation.metadata.state) &&
  (codes.length === 0 || codes.some((code) => hasCode(operation, code)))

async function isAgreed(count: number, { host, signal }: Session): Promise<boolean> {
  // No line editor: with one Ctrl-C would be a key, and no signal.
  const lines = createInterface({ input: host.stdin, output: host.stderr, terminal: false })
  const isClosed = once(lines, 'close').then(() => '')
  try {
    const asked = lines.question(`Send ${counted(count, 'operation')} again? [y/N] `, { signal })
    return /^y(es)?$/i.test((await Promise.race([asked, isClosed])).trim())
  } finally {
    lines.close()
    signal.throwIfAborted()
  }
}

interface Refusal {
  operationId: string
  detail: string
}

/** One after the other: of two writes to one record, the one that is put back first is sent first. */
async function retryAll(project: string, ids: string[], session: Session) {
  const { api, output } = session
  const refused: Refusal[] = []
  let retried = 0
  let refusedCount = 0
  try {
    for (const id of ids) {
      const detail = await retryOne(api, project, id)
      if (detail === null) retried += 1
      else {
        refusedCount += 1
        if (refused.length < MAX_NAMED) refused.push({ operationId: id, detail })
        if (!output.isJson) output.note(tidy(`${id}: ${detail}`))
      }
    }
  } catch (error) {
    output.note(`${counted(retried, 'operation')} of ${ids.length} had been sent again:`)
    throw error
  }
  return { retried, refused, refusedCount }
}

/** Null when it was put back into the queue; otherwise why not. */
async function retryOne(api: Api, project: string, id: string): Promise<string | null> {
  try {
    await api.call('POST', path`/v1/projects/${project}/operations/${id}:retry`, { isRepeatable: true })
    return null
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    const { status, detail } = error.problem ?? {}
    if (status !== 404 && status !== 409) throw error
    return detail ?? error.message
  }
}
