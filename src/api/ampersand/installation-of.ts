import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { InstallationPath } from '../../contract/installations.ts'
import { findById } from '../admin/found.ts'
import { integrationOf } from '../auth.ts'

/** Tells whether an integration has an installation. */
export interface InstallationPort {
  installation: (integrationId: string, id: string) => Promise<{ id: string } | null>
}

/**
 * The id of the installation that the path names. For routes behind `requireScope`.
 *
 * @throws {WritebackError} NOT_FOUND when the path's integration has none of that id
 */
export async function installationOf(port: InstallationPort, request: FastifyRequest): Promise<string> {
  const { installationId } = request.params as Static<typeof InstallationPath>
  const get = (id: string) => port.installation(integrationOf(request).id, id)
  return (await findById('installation', installationId, get)).id
}
