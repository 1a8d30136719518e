import type { Installation } from '../contract/installations.ts'
import { path, ServiceError, type Api } from './api.ts'

/** Where an installation is. */
export interface Place {
  project: string
  integration: string
  /** Only this customer's; every one when null. */
  group: string | null
}

/** The path of an installation. */
export const installationPath = (project: string, integration: string, id: string): string =>
  path`/v1/projects/${project}/integrations/${integration}/installations/${id}`

/**
 * The installations that are meant.
 *
 * @throws {ServiceError} refused, when a customer has none
 */
export async function findInstallations(
  api: Api,
  { project, integration, group }: Place,
): Promise<Installation[]> {
  const found: Installation[] = []
  const list = path`/v1/projects/${project}/integrations/${integration}/installations`
  for await (const page of api.pages<Installation>(list)) {
    if (group === null) found.push(...page)
    const one = page.find((installation) => installation.group.groupRef === group)
    if (one !== undefined) return [one]
  }
  if (group !== null)
    throw new ServiceError(
      'refused',
      `The integration ${integration} is not installed for the group ${JSON.stringify(group)}.`,
    )
  return found
}
