import Type, { type Static } from 'typebox'
import { createValidation } from '../../api/validation.ts'
import { NewApiKey } from '../../contract/api-keys.ts'
import { NewConnection } from '../../contract/connections.ts'
import { NewDestination } from '../../contract/destinations.ts'
import { GroupRef, Name } from '../../contract/fields.ts'
import { NewInstallation } from '../../contract/installations.ts'
import { NewIntegration } from '../../contract/integrations.ts'
import { checkObjectEntry, checkObjectNames } from '../../ingest/rules/object-entry.ts'
import { isWritebackError, type Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import type { SetupIssue, Source } from './source.ts'

/** With so many there may be more that were not listed. */
const MAX_ISSUES = 100

const exact = { additionalProperties: false }
const File = Type.String({ minLength: 1, description: 'Relative to the set-up file.' })

const ApiKeyEntry = Type.Object({ ...NewApiKey.properties, file: Type.Optional(File) }, exact)

const DestinationEntry = Type.Object(
  { ...NewDestination.properties, enabled: Type.Optional(Type.Boolean()), secretFile: Type.Optional(File) },
  exact,
)

const InstallationEntry = Type.Object(
  { groupRef: GroupRef, config: NewInstallation.properties.config },
  exact,
)

const IntegrationEntry = Type.Object(
  { ...NewIntegration.properties, installations: Type.Optional(Type.Array(InstallationEntry)) },
  exact,
)

const ProjectEntry = Type.Object(
  {
    name: Name,
    apiKeys: Type.Optional(Type.Array(ApiKeyEntry)),
    connections: Type.Optional(Type.Array(NewConnection)),
    integrations: Type.Optional(Type.Array(IntegrationEntry)),
    destinations: Type.Optional(Type.Array(DestinationEntry)),
  },
  exact,
)

const SetupFile = Type.Object({ projects: Type.Array(ProjectEntry, { minItems: 1 }) }, exact)
type SetupFile = Static<typeof SetupFile>

export type ApiKeyEntry = Static<typeof ApiKeyEntry>
export type ConnectionEntry = Static<typeof NewConnection>
export type DestinationEntry = Static<typeof DestinationEntry>
export type InstallationEntry = Static<typeof InstallationEntry>
export type IntegrationEntry = Static<typeof IntegrationEntry>
export type ProjectEntry = Static<typeof ProjectEntry>

/** A document, and which of its entries are what they have to be. */
export interface SetupDocument {
  source: Source
  projects: ProjectEntry[]
  /** Entries with issues of their own, which are left out of everything else. */
  isSound: (pointer: string) => boolean
}

/**
 * Checks documents by the schemas and rules of the API, as far as one can without the service; what is wrong is
 * noted. Whether http and private addresses are allowed is the service's to say.
 */
export function checkDocuments(sources: readonly Source[], issues: SetupIssue[]): SetupDocument[] {
  const validation = createValidation({ allowInsecureProviders: true })
  const validate = validation.compile({ schema: SetupFile, httpPart: 'body' })
  return sources.flatMap((source) => {
    const isValid = validate(source.value)
    const error = isValid ? null : validation.toError(validate.errors, 'body')
    const found = isWritebackError(error) ? (error.issues ?? []) : []
    const isSound = (pointer: string): boolean =>
      found.length < MAX_ISSUES && !found.some(({ path }) => isAround(path, pointer))
    const { projects } = (source.value ?? {}) as Partial<SetupFile>
    const document = { source, projects: Array.isArray(projects) ? projects : [], isSound }
    for (const { path, message } of [...found, ...ruleIssues(document)]) {
      // A variable that is not set leaves nothing to be right or wrong.
      const isTold = issues.some(
        (one) => one.file === source.file && one.path === path && source.substituted.has(path),
      )
      if (!isTold) issues.push({ file: source.file, line: source.lineOf(path), path, message })
    }
    return [document]
  })
}

/** Whether an issue is about an entry: about a part of it, or about something that it is in. */
const isAround = (path: string, pointer: string): boolean =>
  path === pointer || path.startsWith(`${pointer}/`) || pointer.startsWith(`${path}/`)

/** What the schemas cannot say: names that must agree, and fields of objects. */
function ruleIssues({ projects, isSound }: SetupDocument): Issue[] {
  const issues: Issue[] = []
  for (const { pointer, provider, entry } of installationsOf(projects, isSound)) {
    const base = `${pointer}/config/content`
    const { content } = entry.config
    if (content.provider !== provider)
      issues.push({ path: `${base}/provider`, message: `must be the integration's own: ${provider}` })
    issues.push(...objectIssues(content.write.objects ?? {}, `${base}/write/objects`))
  }
  return issues
}

interface FoundInstallation {
  pointer: string
  provider: string
  entry: InstallationEntry
}

/** Every installation that is what it has to be, in a document of which other parts may not be. */
function* installationsOf(
  projects: readonly ProjectEntry[],
  isSound: (pointer: string) => boolean,
): Generator<FoundInstallation, void> {
  for (const [project, entry] of projects.entries())
    for (const [integration, one] of listOf(entry, 'integrations').entries())
      for (const [index, installation] of listOf(one as IntegrationEntry, 'installations').entries()) {
        const pointer = `/projects/${project}/integrations/${integration}/installations/${index}`
        const { provider } = one as IntegrationEntry
        if (isSound(pointer)) yield { pointer, provider, entry: installation as InstallationEntry }
      }
}

/** A list of an entry that may not be what it has to be. */
export function listOf(entry: object | null | undefined, name: string): unknown[] {
  const list: unknown = typeof entry === 'object' && entry !== null ? Reflect.get(entry, name) : undefined
  return Array.isArray(list) ? list : []
}

type Objects = NonNullable<InstallationEntry['config']['content']['write']['objects']>

function objectIssues(objects: Objects, base: string): Issue[] {
  const issues = Object.entries(objects).flatMap(([name, entry]) => {
    const path = pointerTo(base, name)
    const own = checkObjectEntry(entry, path)
    if (entry.objectName !== name)
      own.push({ path: `${path}/objectName`, message: `must be the same as its key: ${name}` })
    return own
  })
  return issues.length > 0 ? issues : checkObjectNames(objects, base)
}
