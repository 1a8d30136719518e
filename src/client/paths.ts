import { segment, type Settings } from './options.ts'

const part = encodeURIComponent

/** Where things are, below `/v1`. */
export interface Paths {
  integration: (integration: string | undefined) => string
  operations: string
  operation: (id: string) => string
}

/** Paths of a client's project. */
export function createPaths(settings: Pick<Settings, 'project' | 'integration'>): Paths {
  const project = `/projects/${part(settings.project)}`
  return {
    integration: (given) =>
      `${project}/integrations/${part(segment('integration', given ?? settings.integration))}`,
    operations: `${project}/operations`,
    operation: (id) => `${project}/operations/${part(segment('id', id))}`,
  }
}
