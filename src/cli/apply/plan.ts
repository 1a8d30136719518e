import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CreatedApiKey } from '../../contract/api-keys.ts'
import type { CreatedDestination } from '../../contract/destinations.ts'
import { path, type Api } from '../api.ts'
import { openSecretFile } from '../secret-file.ts'
import type { CurrentIntegration, CurrentProject } from './current.ts'
import {
  issueAt,
  secretFile,
  type Section,
  type Wanted,
  type WantedIntegration,
  type WantedProject,
} from './desired.ts'
import { diffFields, type FieldChange } from './diff.ts'
import type { SetupIssue } from './source.ts'

/** One thing that has to be done. */
export interface Change {
  action: 'create' | 'change' | 'delete'
  kind: 'project' | 'integration' | 'connection' | 'API key' | 'destination' | 'installation'
  project: string
  name: string
  /** What changes, of a change. */
  fields: FieldChange[]
  /** Does it. Answers with a secret that is shown once and was not put into a file. */
  run: (api: Api) => Promise<string | null>
}

/** What `apply` was asked for beside the files. */
export interface PlanOptions {
  isPruning: boolean
  /** Groups whose credentials are replaced; all with `all`. */
  replaceCredentials: readonly string[]
}

/** What has to be done, what cannot be, and what is worth knowing. */
export interface Plan {
  changes: Change[]
  issues: SetupIssue[]
  /** Worth knowing before anything is done. */
  warnings: string[]
  notes: string[]
}

/** Everything that a part of the plan is made with. */
interface Making {
  wanted: WantedProject
  current: CurrentProject
  base: string
  options: PlanOptions
  plan: Plan
  /** Deletions come last, in the opposite order. */
  deletions: Change[]
  /** What the files do not name and nobody asked to delete. */
  extra: string[]
  /** What the files do not name, whoever asked for what. */
  unnamed: Pick<Change, 'kind' | 'name'>[]
}

const nothing: CurrentProject = { apiKeys: [], connections: [], integrations: [], destinations: [] }

/** Compares what the files want of one project with what is there. */
export function planProject(wanted: WantedProject, found: CurrentProject | null, options: PlanOptions): Plan {
  const plan: Plan = { changes: [], issues: [], warnings: [], notes: [] }
  const base = path`/v1/projects/${wanted.name}`
  const lists = { deletions: [], extra: [], unnamed: [] }
  const making: Making = { wanted, current: found ?? nothing, base, options, plan, ...lists }
  if (found === null)
    plan.changes.push(
      change(making, 'create', 'project', wanted.name, async (api) => {
        await api.call('POST', '/v1/projects', { body: { name: wanted.name } })
        return null
      }),
    )
  planIntegrations(making)
  planConnections(making)
  planKeys(making)
  planDestinations(making)
  for (const integration of wanted.integrations ?? []) planInstallations(making, integration)
  warnOfNewNames(making)
  plan.changes.push(...making.deletions.reverse())
  if (making.extra.length > 0)
    plan.notes.push(
      `${wanted.name}: the files do not name ${making.extra.join(', ')}; --prune deletes what they do not name`,
    )
  return plan
}

/** Things are found by their names, so a name that was changed in a file makes a second one. */
function warnOfNewNames({ wanted, plan, unnamed, options }: Making): void {
  const second = options.isPruning ? 'a second one and deletes the first' : 'a second one'
  for (const kind of ['integration', 'API key', 'destination'] as const) {
    const made = plan.changes.filter((one) => one.action === 'create' && one.kind === kind)
    const gone = unnamed.filter((one) => one.kind === kind)
    if (made.length === 0 || gone.length === 0) continue
    const names = (of: readonly { name: string }[]): string => of.map(({ name }) => name).join(', ')
    plan.warnings.push(
      `${wanted.name}: a new ${kind} (${names(made)}), and one that the files do not name any more (${names(gone)}). If that is a new name for the same thing: apply makes ${second}. Rename it by its PATCH call first, then apply`,
    )
  }
}

const change = (
  { wanted }: Making,
  action: Change['action'],
  kind: Change['kind'],
  name: string,
  run: Change['run'],
  fields: FieldChange[] = [],
): Change => ({ action, kind, project: wanted.name, name, fields, run })

/** A call whose answer holds nothing to show. */
const calling =
  (method: string, target: string, body?: unknown): Change['run'] =>
  async (api) => {
    await api.call(method, target, body === undefined ? {} : { body })
    return null
  }

/** Deletes what the files do not name, where they speak of such things at all. */
function prune<T>(
  making: Making,
  kind: Change['kind'],
  section: Section<unknown> | WantedIntegration[],
  extra: readonly T[],
  about: (thing: T) => { name: string; target: string },
): void {
  if (section === null) return
  for (const thing of extra) {
    const { name, target } = about(thing)
    making.unnamed.push({ kind, name })
    if (making.options.isPruning)
      making.deletions.push(change(making, 'delete', kind, name, calling('DELETE', target)))
    else making.extra.push(`the ${kind} ${name}`)
  }
}

function planIntegrations(making: Making): void {
  const { wanted, current, base, plan } = making
  for (const { name, provider, first } of wanted.integrations ?? []) {
    const there = current.integrations.find((one) => one.name === name)
    if (there === undefined)
      plan.changes.push(
        change(
          making,
          'create',
          'integration',
          name,
          calling('POST', `${base}/integrations`, { name, provider }),
        ),
      )
    else if (there.provider !== provider)
      plan.issues.push(
        issueAt(
          first,
          `${first.pointer}/provider`,
          `cannot change: the integration is for ${there.provider}`,
        ),
      )
  }
  const extra = current.integrations.filter(
    ({ name }) => !wanted.integrations?.some((one) => one.name === name),
  )
  prune(making, 'integration', wanted.integrations, extra, ({ id, name }) => ({
    name,
    target: `${base}/integrations/${id}`,
  }))
  for (const integration of extra) pruneInstallations(making, integration, integration.installations)
}

function pruneInstallations(
  making: Making,
  { id, name }: CurrentIntegration,
  extra: CurrentIntegration['installations'],
): void {
  prune(making, 'installation', making.wanted.integrations, extra, (one) => ({
    name: `${name}/${one.group.groupRef}`,
    target: `${making.base}/integrations/${id}/installations/${one.id}`,
  }))
}

/** What tells connections apart. */
interface ConnectionName {
  groupRef: string
  provider: string
}

const isSameConnection = (one: ConnectionName, other: ConnectionName): boolean =>
  one.groupRef === other.groupRef && one.provider === other.provider

function planConnections(making: Making): void {
  const { wanted, current, base, plan, options } = making
  const { replaceCredentials } = options
  for (const one of wanted.connections ?? []) {
    const { groupRef, credentials } = one.entry
    const there = current.connections.filter((it) => isSameConnection(it, one.entry))
    // As the service chooses: the newest that works.
    const used = there.find(({ status }) => status === 'working') ?? there[0]
    if (used === undefined) {
      plan.changes.push(
        change(making, 'create', 'connection', groupRef, calling('POST', `${base}/connections`, one.entry)),
      )
      continue
    }
    if (replaceCredentials.includes('all') || replaceCredentials.includes(groupRef)) {
      const run = calling('PATCH', `${base}/connections/${used.id}`, { credentials })
      plan.changes.push(
        change(making, 'change', 'connection', groupRef, run, [{ path: 'credentials', isHidden: true }]),
      )
    } else if (used.status === 'broken')
      plan.notes.push(
        `${wanted.name}: the connection of ${groupRef} is broken; --replace-credentials ${groupRef} gives it those of the file`,
      )
  }
  const extra = current.connections.filter(
    (it) => !wanted.connections?.some(({ entry }) => isSameConnection(entry, it)),
  )
  prune(making, 'connection', wanted.connections, extra, ({ id, groupRef }) => ({
    name: groupRef,
    target: `${base}/connections/${id}`,
  }))
}

function planKeys(making: Making): void {
  const { wanted, current, base, plan } = making
  for (const one of wanted.apiKeys ?? []) {
    const { label, scopes, file } = one.entry
    const [there, ...others] = current.apiKeys.filter((key) => key.label === label)
    if (others.length > 0)
      plan.issues.push(
        issueAt(
          one,
          `${one.pointer}/label`,
          `is the label of ${others.length + 1} keys: it must be that of one`,
        ),
      )
    else if (there === undefined) {
      checkSecretFile(making, one, 'file', file)
      plan.changes.push(change(making, 'create', 'API key', label, creatingKey(one, base)))
    } else {
      const fields = diffFields({ scopes: sorted(there.scopes) }, { scopes: sorted(scopes) }, one, [])
      const run = calling('PATCH', `${base}/api-keys/${there.id}`, { scopes })
      if (fields.length > 0) plan.changes.push(change(making, 'change', 'API key', label, run, fields))
    }
  }
  const extra = current.apiKeys.filter(
    ({ label }) => !wanted.apiKeys?.some(({ entry }) => entry.label === label),
  )
  prune(making, 'API key', wanted.apiKeys, extra, ({ id, label }) => ({
    name: label,
    target: `${base}/api-keys/${id}`,
  }))
}

const sorted = (scopes: readonly string[]): string[] => [...scopes].sort()

function creatingKey(one: NonNullable<WantedProject['apiKeys']>[number], base: string): Change['run'] {
  const { label, scopes, file } = one.entry
  return (api) =>
    keepingSecret(file === undefined ? null : secretFile(one, file), async () => {
      const { body } = await api.call('POST', `${base}/api-keys`, { body: { label, scopes } })
      return (body as CreatedApiKey).key
    })
}

/** Makes something with a secret; the file for it is made before. */
async function keepingSecret(file: string | null, make: () => Promise<string>): Promise<string | null> {
  if (file === null) return make()
  const kept = await openSecretFile(file)
  const secret = await make().catch(async (error: unknown) => {
    await kept.discard()
    throw error
  })
  await kept.write(secret)
  return null
}

/** A file that is there would be overwritten, and the secret that it holds lost. */
function checkSecretFile(
  { plan }: Making,
  wanted: Wanted<unknown>,
  field: string,
  file: string | undefined,
): void {
  if (file === undefined) return
  const full = secretFile(wanted, file)
  const at = `${wanted.pointer}/${field}`
  if (existsSync(full))
    plan.issues.push(
      issueAt(
        wanted,
        at,
        `${file} is there already, but what it is for is not: remove it, or name another file`,
      ),
    )
  else if (!existsSync(dirname(full)))
    plan.issues.push(issueAt(wanted, at, `${file} is in a folder that is not there`))
}

function planDestinations(making: Making): void {
  const { wanted, current, base, plan } = making
  for (const one of wanted.destinations ?? []) {
    const { secretFile: file, ...entry } = one.entry
    const there = current.destinations.find(({ name }) => name === entry.name)
    if (there === undefined) {
      checkSecretFile(making, one, 'secretFile', file)
      plan.changes.push(change(making, 'create', 'destination', entry.name, creatingDestination(one, base)))
      continue
    }
    const { metadata, enabled } = entry
    const fields = diffFields(
      { metadata: there.metadata, ...(enabled === undefined ? {} : { enabled: there.enabled }) },
      { metadata, ...(enabled === undefined ? {} : { enabled }) },
      one,
      [],
    )
    // A digest that the file does not name ends.
    const body = { metadata: { digest: null, ...metadata }, ...(enabled === undefined ? {} : { enabled }) }
    const run = calling('PATCH', `${base}/destinations/${there.id}`, body)
    if (fields.length > 0) plan.changes.push(change(making, 'change', 'destination', entry.name, run, fields))
    else if (!there.enabled && enabled === undefined)
      plan.notes.push(
        `${wanted.name}: the destination ${entry.name} is switched off${there.disabledReason === undefined ? '' : ` (${there.disabledReason})`}`,
      )
  }
  const extra = current.destinations.filter(
    ({ name }) => !wanted.destinations?.some(({ entry }) => entry.name === name),
  )
  prune(making, 'destination', wanted.destinations, extra, ({ id, name }) => ({
    name,
    target: `${base}/destinations/${id}`,
  }))
}

function creatingDestination(
  one: NonNullable<WantedProject['destinations']>[number],
  base: string,
): Change['run'] {
  const { secretFile: file, enabled, ...body } = one.entry
  return (api) =>
    keepingSecret(file === undefined ? null : secretFile(one, file), async () => {
      const answer = await api.call('POST', `${base}/destinations`, { body })
      const { id, secret } = answer.body as CreatedDestination
      if (enabled === false) await api.call('PATCH', `${base}/destinations/${id}`, { body: { enabled } })
      return secret
    })
}

function planInstallations(making: Making, integration: WantedIntegration): void {
  const { wanted, current, base, plan } = making
  const { name, provider, installations } = integration
  const there = current.integrations.find((one) => one.name === name)
  const target = `${base}${path`/integrations/${name}/installations`}`
  for (const one of installations ?? []) {
    const { groupRef, config } = one.entry
    const found = there?.installations.find(({ group }) => group.groupRef === groupRef)
    const shown = `${name}/${groupRef}`
    if (found === undefined) {
      const connections = [...current.connections, ...(wanted.connections ?? []).map(({ entry }) => entry)]
      if (!connections.some((it) => isSameConnection(it, { groupRef, provider })))
        plan.issues.push(
          issueAt(one, `${one.pointer}/groupRef`, `has no connection to ${provider}, here or on the service`),
        )
      plan.changes.push(change(making, 'create', 'installation', shown, calling('POST', target, one.entry)))
      continue
    }
    const fields = diffFields(found.config.content, config.content, one, ['config', 'content'])
    const run = calling('PATCH', `${target}/${found.id}`, { config })
    if (fields.length > 0) plan.changes.push(change(making, 'change', 'installation', shown, run, fields))
  }
  if (there === undefined || installations === null) return
  const extra = there.installations.filter(
    ({ group }) => !installations.some(({ entry }) => entry.groupRef === group.groupRef),
  )
  pruneInstallations(making, there, extra)
}
