import { dirname, resolve } from 'node:path'
import {
  listOf,
  type ApiKeyEntry,
  type ConnectionEntry,
  type DestinationEntry,
  type InstallationEntry,
  type IntegrationEntry,
  type ProjectEntry,
  type SetupDocument,
} from './setup-file.ts'
import type { SetupIssue, Source } from './source.ts'

/** Something that the files want, and where they say so. */
export interface Wanted<T> {
  entry: T
  source: Source
  /** JSON pointer of the entry. */
  pointer: string
}

/** A list of things that the files want; null where no file speaks of them, which leaves them alone. */
export type Section<T> = Wanted<T>[] | null

export interface WantedIntegration {
  name: string
  provider: string
  first: Wanted<unknown>
  installations: Section<InstallationEntry>
}

export interface WantedProject {
  name: string
  first: Wanted<unknown>
  apiKeys: Section<ApiKeyEntry>
  connections: Section<ConnectionEntry>
  destinations: Section<DestinationEntry>
  integrations: WantedIntegration[] | null
}

/**
 * Puts what several documents say together: a project may be spread over them; what is said twice is noted.
 * Entries with issues of their own are left out.
 */
export function mergeDocuments(documents: readonly SetupDocument[], issues: SetupIssue[]): WantedProject[] {
  const projects = new Map<string, WantedProject>()
  for (const document of documents)
    for (const [index, entry] of document.projects.entries()) {
      const wanted = { entry, source: document.source, pointer: `/projects/${index}` }
      if (!document.isSound(`${wanted.pointer}/name`)) continue
      const project = projects.get(entry.name) ?? emptyProject(entry.name, wanted)
      projects.set(entry.name, project)
      addEntry(project, wanted, document, issues)
    }
  for (const project of projects.values()) findTwice(project, issues)
  return [...projects.values()]
}

const emptyProject = (name: string, first: Wanted<unknown>): WantedProject => ({
  name,
  first,
  apiKeys: null,
  connections: null,
  destinations: null,
  integrations: null,
})

function addEntry(
  project: WantedProject,
  wanted: Wanted<ProjectEntry>,
  document: SetupDocument,
  issues: SetupIssue[],
): void {
  const add = <T>(section: Section<T>, name: string): Section<T> => extended(section, wanted, name, document)
  project.apiKeys = add(project.apiKeys, 'apiKeys')
  project.connections = add(project.connections, 'connections')
  project.destinations = add(project.destinations, 'destinations')
  if (wanted.entry.integrations === undefined) return
  project.integrations ??= []
  for (const [at, entry] of listOf(wanted.entry, 'integrations').entries()) {
    const pointer = `${wanted.pointer}/integrations/${at}`
    if (['name', 'provider'].every((field) => document.isSound(`${pointer}/${field}`)))
      addIntegration(
        project.integrations,
        { entry: entry as IntegrationEntry, source: wanted.source, pointer },
        document,
        issues,
      )
  }
}

/** The section with what another document adds to it. */
function extended<T>(
  section: Section<T>,
  { entry, source, pointer }: Wanted<object>,
  name: string,
  { isSound }: SetupDocument,
): Section<T> {
  if (Reflect.get(entry, name) === undefined) return section
  const added = listOf(entry, name).map((one, index) => ({
    entry: one as T,
    source,
    pointer: `${pointer}/${name}/${index}`,
  }))
  return [...(section ?? []), ...added.filter((one) => isSound(one.pointer))]
}

function addIntegration(
  integrations: WantedIntegration[],
  wanted: Wanted<IntegrationEntry>,
  document: SetupDocument,
  issues: SetupIssue[],
): void {
  const { entry, pointer } = wanted
  let integration = integrations.find(({ name }) => name === entry.name)
  if (integration === undefined) {
    integration = { name: entry.name, provider: entry.provider, first: wanted, installations: null }
    integrations.push(integration)
  } else if (integration.provider !== entry.provider)
    issues.push(
      issueAt(wanted, `${pointer}/provider`, `is ${integration.provider} ${placeOf(integration.first)}`),
    )
  integration.installations = extended(integration.installations, wanted, 'installations', document)
}

/** Where something is, for somebody who has to find it. */
export const placeOf = ({ source, pointer }: Wanted<unknown>): string =>
  `in ${source.file}:${source.lineOf(pointer)}`

export const issueAt = ({ source }: Wanted<unknown>, path: string, message: string): SetupIssue => ({
  file: source.file,
  line: source.lineOf(path),
  path,
  message,
})

function findTwice(project: WantedProject, issues: SetupIssue[]): void {
  const once = <T>(section: Section<T>, keyOf: (entry: T) => string, field: string): void => {
    const seen = new Map<string, Wanted<T>>()
    for (const wanted of section ?? []) {
      const first = seen.get(keyOf(wanted.entry))
      if (first === undefined) seen.set(keyOf(wanted.entry), wanted)
      else issues.push(issueAt(wanted, `${wanted.pointer}/${field}`, `is there already ${placeOf(first)}`))
    }
  }
  once(project.apiKeys, ({ label }) => label, 'label')
  once(project.connections, ({ groupRef, provider }) => `${provider} ${groupRef}`, 'groupRef')
  once(project.destinations, ({ name }) => name, 'name')
  for (const { installations } of project.integrations ?? [])
    once(installations, ({ groupRef }) => groupRef, 'groupRef')
}

/** The file of a secret, which is named relative to the file that names it. */
export const secretFile = ({ source }: Wanted<unknown>, file: string): string =>
  source.file === 'standard input' ? resolve(file) : resolve(dirname(source.file), file)
