import { segment, type Settings } from './options.ts'

const part = encodeURIComponent

/** Where things are, below `/v1`. */
export interface Paths {
  integration: (integration: string | undefined) => string
  installation: (integration: string | undefined, id: string) => string
  operations: string
  operation: (id: string) => string
  lane: (id: string) => string
  batch: (id: string) => string
}

/** Paths of a client's project. */
export function createPaths(settings: Pick<Settings, 'project' | 'integration'>): Paths {
  const project = `/projects/${part(settings.project)}`
  const integration = (given: string | undefined): string =>
    `${project}/integrations/${part(segment('integration', given ?? settings.integration))}`
  const thing =
    (kind: string) =>
    (id: string): string =>
      `${project}/${kind}/${part(segment('id', id))}`
  return {
    integration,
    installation: (given, id) => `${integration(given)}/installations/${part(segment('installation', id))}`,
    operations: `${project}/operations`,
    operation: thing('operations'),
    lane: thing('lanes'),
    batch: thing('batches'),
  }
}
