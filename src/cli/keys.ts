import type { ApiKey, CreatedApiKey } from '../contract/api-keys.ts'
import { path, ServiceError, type Api } from './api.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import type { Column } from './output.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { openSecretFile } from './secret-file.ts'
import { projectOption, serviceOptions } from './target.ts'
import { tidy } from './text.ts'

export const spec: Spec = {
  name: 'keys',
  usage: ['list', 'create LABEL --scope SCOPE [--scope SCOPE]', 'revoke KEY...'],
  about: [
    "A project's API keys: lists them, creates one, revokes some (by id, or by a label that only one has). A new key is shown once, on standard output, or written to the file of --out, which only its owner can read. A revoked one is refused at once, by every process.",
  ],
  maxArguments: 100,
  options: {
    ...projectOption,
    scope: { value: 'SCOPE', isRepeatable: true, help: 'what a new key may do: write, read or admin' },
    out: { value: 'FILE', help: 'where a new key is written, a file that is not there yet' },
    ...serviceOptions,
  },
  examples: [
    [
      'A key for a program that writes and looks at the outcomes',
      'writeback keys create -p acme "billing service" --scope write --scope read',
    ],
    ['The same into a file', 'writeback keys create -p acme billing --scope write --out billing.key'],
    ['Take it away', 'writeback keys revoke -p acme billing'],
  ],
  exits: ['done', 'failed', 'usage', 'refused'],
}

const scopes = ['write', 'read', 'admin'] as const
const actions = ['list', 'create', 'revoke'] as const

interface Given {
  project: string
  action: (typeof actions)[number]
  names: string[]
  scopes: string[]
  out: string | undefined
}

/** `writeback keys` */
export const { run } = serviceCommand(
  spec,
  (input): Given => {
    const [named = '', ...names] = input.positionals
    const action = actions.find((one) => one === named)
    if (action === undefined)
      input.issue(
        `say what to do: ${actions.join(', ')}${named === '' ? '' : `, not ${JSON.stringify(named)}`}`,
      )
    const given = input.list('scope')
    for (const scope of given)
      if (!scopes.some((one) => one === scope))
        input.issue(`--scope must be one of ${scopes.join(', ')}, not ${JSON.stringify(scope)}`)
    if (action === 'create' && names.length !== 1) input.issue('LABEL is required: one, what the key is for')
    if (action === 'create' && given.length === 0) input.issue('--scope is required: write, read or admin')
    if (action === 'revoke' && names.length === 0)
      input.issue('KEY is required: the id or the label of a key')
    if (action === 'list' && names.length > 0) input.issue(`unexpected argument ${JSON.stringify(names[0])}`)
    const out = input.text('out')
    if (action !== 'create' && (given.length > 0 || out !== undefined))
      input.issue('--scope and --out are for keys create')
    return {
      project: input.required('project'),
      action: action ?? 'list',
      names,
      scopes: [...new Set(given)],
      out,
    }
  },
  async (given, session) => {
    await { list: listKeys, create: createKey, revoke: revokeKeys }[given.action](given, session)
    return exitCodes.done
  },
)

const keysPath = (project: string): string => path`/v1/projects/${project}/api-keys`

const columns: Column[] = [
  { title: 'KEY' },
  { title: 'LABEL', isFlexible: true },
  { title: 'SCOPES' },
  { title: 'SINCE' },
]

async function listKeys({ project }: Given, { api, output }: Session): Promise<void> {
  const keys = await api.all<ApiKey>(keysPath(project))
  output.json({ keys })
  output.table(
    columns,
    keys.map(({ id, label, scopes, createTime }) => [id, label, scopes.join(' '), createTime.slice(0, 10)]),
  )
}

async function createKey(given: Given, { api, output }: Session): Promise<void> {
  const { project, names, scopes, out } = given
  const keep = out === undefined ? null : await openSecretFile(out)
  const body = { label: names[0] ?? '', scopes }
  const create = async (): Promise<CreatedApiKey> =>
    (await api.call('POST', keysPath(project), { body })).body as CreatedApiKey
  const { key, ...rest } = await create().catch(async (error: unknown) => {
    await keep?.discard()
    throw error
  })
  await keep?.write(key)
  output.json(keep === null ? { ...rest, key } : { ...rest, file: out })
  if (keep === null) output.line(key)
  if (!output.isJson)
    output.note(
      keep === null ? `The key ${rest.id}: it is shown this once.` : `The key ${rest.id} is in ${out ?? ''}.`,
    )
}

async function revokeKeys({ project, names }: Given, { api, output }: Session): Promise<void> {
  const keys = await api.all<ApiKey>(keysPath(project))
  const chosen = names.map((name) => chooseKey(keys, name))
  const revoked: ApiKey[] = []
  for (const key of chosen) {
    await deleteKey(api, project, key.id)
    revoked.push(key)
    output.line(`revoked ${key.id}  ${tidy(key.label)}`)
  }
  output.json({ revoked })
}

/** @throws {ServiceError} refused, when none or more than one is meant */
function chooseKey(keys: readonly ApiKey[], name: string): ApiKey {
  const found = keys.filter(({ id, label }) => id === name.toLowerCase() || label === name)
  const [one, ...others] = found
  const shown = JSON.stringify(name)
  if (one === undefined) throw new ServiceError('refused', `There is no key ${shown}; nothing was revoked.`)
  if (others.length > 0)
    throw new ServiceError(
      'refused',
      `${found.length} keys are labelled ${shown}; name one by its id. Nothing was revoked.`,
    )
  return one
}

const deleteKey = (api: Api, project: string, id: string) =>
  api.call('DELETE', `${keysPath(project)}/${encodeURIComponent(id)}`, { isRepeatable: true, accept: [404] })
