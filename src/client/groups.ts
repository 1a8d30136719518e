import type { Batch } from '../contract/batch.ts'
import type { Lane } from '../contract/lane.ts'
import type { Calls } from './calls.ts'
import type { CallOptions } from './options.ts'
import type { Paths } from './paths.ts'

/** Which lanes or groups are listed. */
export interface GroupListOptions extends CallOptions {
  /** Id of the installation. */
  installation: string
  /** The integration, where it is not the client's. */
  integration?: string | undefined
  /** Entries of one call, up to 1,000. Default: the service's, 100. */
  pageSize?: number | undefined
}

/** What waits to leave together, and what left together (contract section 7). */
export interface Groups {
  /** The lanes of an installation in which something waits, newest first, page by page as they are asked for. */
  lanes: (options: GroupListOptions) => AsyncGenerator<Lane, void>
  /** Sends what waits in a lane now; answers with the lane as it was made due. @throws {WritebackError} NOT_FOUND */
  flush: (laneId: string, options?: CallOptions) => Promise<Lane>
  /** One group as it was sent. @throws {WritebackError} NOT_FOUND */
  batch: (id: string, options?: CallOptions) => Promise<Batch>
  /** The groups of an installation, newest first, page by page as they are asked for. */
  batches: (options: GroupListOptions) => AsyncGenerator<Batch, void>
}

/** The calls of a client about groups. */
export function createGroups(calls: Calls, paths: Paths): Groups {
  const listOf =
    <T>(what: 'lanes' | 'batches') =>
    ({ installation, integration, pageSize, ...options }: GroupListOptions) =>
      calls.list<T>(`${paths.installation(integration, installation)}/${what}`, { pageSize }, options)
  return {
    lanes: listOf<Lane>('lanes'),
    // Asked for twice, the second finds nothing left to make due.
    flush: (laneId, options) => calls.post(`${paths.lane(laneId)}:flush`, 'always', undefined, options),
    batch: (id, options) => calls.get(paths.batch(id), options),
    batches: listOf<Batch>('batches'),
  }
}
