import type { Api } from './api.ts'
import { hasDestinations, readCurrent } from './apply/current.ts'
import { issueAt, mergeDocuments, type WantedProject } from './apply/desired.ts'
import { planProject, type Change, type Plan, type PlanOptions } from './apply/plan.ts'
import { checkDocuments } from './apply/setup-file.ts'
import { showChange, showDone, toJson } from './apply/show.ts'
import { readSources, sayIssue, type SetupIssue, type Source } from './apply/source.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Host } from './process.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { serviceOptions } from './target.ts'

export const spec: Spec = {
  name: 'apply',
  usage: ['-f FILE [-f FILE] [--check] [--prune]'],
  about: [
    'Makes the set-up what files say: projects with their API keys, connections, integrations, installations and destinations, in YAML or JSON. It prints what differs (+ to create, ~ to change, - to delete), then does it. The second time there are no changes.',
    'The files are checked whole before anything is done: every issue is named with its line. ${NAME} in a text stands for a variable, and $${ for the characters themselves. What holds a variable is never printed.',
    'Credentials cannot be read back, so they are used when a connection is made and after that left alone: --replace-credentials sends them again. An API key is made once and printed, or written to its `file`; the same with a destination and its `secretFile`.',
    'Things are found by their names: a project, an integration and a destination by `name`, a key by `label`, a connection and an installation by `groupRef`. So a name that is changed in a file makes a second thing: what looks like that is told before it is done. --prune deletes what the files do not name, in the lists that they have: a project without a list `apiKeys` keeps its keys. A project is never deleted.',
    'Each change is a call of its own, one after the other. When one fails, what was done stays done, and is told; calling again does the rest.',
  ],
  options: {
    file: {
      value: 'FILE',
      short: 'f',
      isRepeatable: true,
      help: 'what the set-up has to be; - is standard input',
    },
    check: { help: 'only tell what differs; exit code 6 when something does' },
    'dry-run': { help: 'the same as --check' },
    prune: { help: 'delete what the files do not name' },
    'replace-credentials': {
      value: 'GROUP',
      isRepeatable: true,
      help: 'send the credentials of this group again (all: of every group): after they have changed. With refresh tokens that rotate, the file must hold a fresh one',
    },
    ...serviceOptions,
  },
  examples: [
    ['See what would be done', 'writeback apply -f setup.yaml --check'],
    ['Do it', 'SF_SECRET=… writeback apply -f setup.yaml'],
    ['A customer has new credentials', 'writeback apply -f setup.yaml --replace-credentials customer-42'],
  ],
  exits: ['done', 'failed', 'usage', 'differs', 'refused', 'interrupted'],
}

interface Given extends PlanOptions {
  files: string[]
  isCheck: boolean
}

/** `writeback apply` */
export const { run } = serviceCommand(
  spec,
  (input): Given => {
    const files = input.list('file')
    if (files.length === 0) input.issue('-f FILE is required')
    if (new Set(files).size < files.length) input.issue('-f names a file twice')
    return {
      files,
      isCheck: input.flag('check') || input.flag('dry-run'),
      isPruning: input.flag('prune'),
      replaceCredentials: input.list('replace-credentials'),
    }
  },
  async (given, session) => {
    const projects = await readFiles(given, session.host)
    const plan = await makePlan(projects, given, session.api)
    return carryOut(plan, given, session)
  },
)

/** @throws {UsageError} a line for everything that is wrong with the files */
async function readFiles({ files, replaceCredentials }: Given, host: Host): Promise<WantedProject[]> {
  const issues: SetupIssue[] = []
  const sources: Source[] = []
  for (const file of files) sources.push(...(await readSources(file, host, issues)))
  const projects = mergeDocuments(checkDocuments(sources, issues), issues)
  refuse(issues)
  const groups = projects.flatMap(({ connections }) => connections?.map(({ entry }) => entry.groupRef) ?? [])
  for (const group of replaceCredentials)
    if (group !== 'all' && !groups.includes(group))
      throw new UsageError(`--replace-credentials: the files have no connection of ${JSON.stringify(group)}`)
  return projects
}

/** @throws {UsageError} a line for each issue */
function refuse(issues: SetupIssue[]): void {
  if (issues.length === 0) return
  const files = [...new Set(issues.map(({ file }) => file))]
  const inOrder = issues.toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line)
  throw new UsageError([...inOrder.map(sayIssue), 'Nothing was changed.'].join('\n'))
}

/** @throws {UsageError} a line for everything that the service does not allow */
async function makePlan(projects: WantedProject[], given: Given, api: Api): Promise<Plan> {
  const whole: Plan = {
    ...{ changes: [], warnings: [], notes: [] },
    issues: await destinationIssues(projects, api),
  }
  refuse(whole.issues)
  for (const wanted of projects) {
    const { changes, issues, warnings, notes } = planProject(wanted, await readCurrent(api, wanted), given)
    whole.changes.push(...changes)
    whole.issues.push(...issues)
    whole.warnings.push(...warnings)
    whole.notes.push(...notes)
  }
  refuse(whole.issues)
  return whole
}

async function destinationIssues(projects: WantedProject[], api: Api): Promise<SetupIssue[]> {
  const wanted = projects.flatMap(({ destinations }) => destinations ?? [])
  if (wanted.length === 0 || (await hasDestinations(api))) return []
  return wanted.map((one) =>
    issueAt(one, one.pointer, 'this service has no destinations: it is an older version'),
  )
}

async function carryOut(plan: Plan, { isCheck }: Given, session: Session): Promise<number> {
  const { changes, warnings, notes } = plan
  const { api, output, signal } = session
  const done = new Map<Change, string | null>()
  for (const change of changes) showChange(output, change)
  if (!output.isJson) for (const warning of warnings) output.note(`note: ${warning}`)
  if (changes.length === 0) output.line('no changes')
  let failure: { error: Error } | null = null
  try {
    for (const change of isCheck ? [] : changes) {
      signal.throwIfAborted()
      const secret = await change.run(api)
      done.set(change, secret)
      if (secret !== null)
        output.line(`${change.project}: ${change.kind} ${change.name}: ${secret} (shown this once)`)
    }
  } catch (error) {
    failure = { error: error as Error }
  }
  showDone(output, changes, done, isCheck)
  for (const note of notes) if (!output.isJson) output.note(`note: ${note}`)
  output.json(toJson(changes, done, [...warnings, ...notes], isCheck))
  if (failure !== null) throw failure.error
  return isCheck && changes.length > 0 ? exitCodes.differs : exitCodes.done
}
