import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { cutPage } from '../../connections/page.ts'
import { PageQuery, pageOf } from '../../contract/fields.ts'
import { InstallationPath } from '../../contract/installations.ts'
import { Lane, LanePath } from '../../contract/lane.ts'
import type { LaneView, ListPage } from '../../model/following.ts'
import { findById } from '../admin/found.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest } from '../pagination.ts'
import { installationOf, type InstallationPort } from './installation-of.ts'

/** What looking at lanes and flushing them needs of the floors below. */
export interface LanePort extends InstallationPort {
  /** At most `size` lanes of an installation in which something waits, newest first. */
  listLanes: (installationId: string, page: ListPage) => Promise<LaneView[]>
  /** Makes what waits in a lane due now; null when the project has no such lane. */
  flushLane: (projectId: string, id: string) => Promise<LaneView | null>
}

const tags = ['Groups and lanes']

const toLane = (lane: LaneView): Lane => ({
  id: lane.id,
  objectName: lane.objectName,
  type: lane.type,
  ...(lane.externalIdField === null ? {} : { externalIdField: lane.externalIdField }),
  allOrNone: lane.allOrNone,
  waiting: lane.waiting,
  oldestTime: lane.oldestAt?.toISOString() ?? null,
  dueTime: lane.dueAt?.toISOString() ?? null,
  ...(lane.heldBy === null ? {} : { heldBy: lane.heldBy }),
})

/** What waits to leave, and sending it now (contract section 7). */
export function laneRoutes(port: LanePort): FastifyPluginAsync {
  return (app) => {
    app.get(
      '/projects/:project/integrations/:integration/installations/:installationId/lanes',
      {
        onRequest: requireScope('read'),
        schema: {
          summary: 'List the lanes of an installation in which something waits, newest first',
          tags,
          params: InstallationPath,
          querystring: PageQuery,
          response: { 200: pageOf(Lane), ...problems },
        },
      },
      async (request) => {
        const { size, after } = pageRequest(request.query as Static<typeof PageQuery>)
        const installationId = await installationOf(port, request)
        const page = cutPage(await port.listLanes(installationId, { size: size + 1, after }), size)
        return pageAnswer({ ...page, results: page.results.map(toLane) })
      },
    )
    app.post(
      // The expression ends the parameter at the colon, which the router would take for a part of its name.
      '/projects/:project/lanes/:lane([^:]+)::flush',
      {
        onRequest: requireScope('write'),
        schema: {
          summary: 'Send what waits in a lane now',
          description:
            'All that waits in the lane is due at once, also what a passing fault sends back later. What holds the lane is looked at again, and may hold it on: a broken connection, a limit of the org. What waits for another try leaves at its own time, and what waits behind an earlier write to its record when that has ended. The answer is the lane as it was made due.',
          tags,
          params: LanePath,
          response: { 200: Lane, ...problems },
        },
      },
      async (request) => {
        const { lane: id } = request.params as Static<typeof LanePath>
        return toLane(await findById('lane', id, (found) => port.flushLane(projectOf(request).id, found)))
      },
    )
    return Promise.resolve()
  }
}
