import type { BatchView, FoundOperations, LaneView, ListPage, OperationFilter } from '../model/following.ts'
import { flushLane, type FlushOptions } from './flush-lane.ts'
import { findOperations } from './list-operations.ts'
import { listBatches, readBatch, type FoundBatches } from './read-batches.ts'
import { listLanes } from './read-lanes.ts'
import { countRecords, readOperations, type OperationView } from './read.ts'

/** Following many writes at once (contract section 7): lists are newest first. */
export interface Following {
  findOperations: (
    installationId: string,
    filter: OperationFilter,
    page: ListPage,
  ) => Promise<FoundOperations>
  /** Operations of a project in the order of these ids; those that are not there are left out. */
  readOperations: (projectId: string, ids: string[]) => Promise<OperationView[]>
  /** Records of the caller-built batches among them. */
  countRecords: (projectId: string, ids: string[]) => Promise<number>
  readBatch: (projectId: string, id: string) => Promise<BatchView | null>
  listBatches: (installationId: string, page: ListPage) => Promise<FoundBatches>
  /** Lanes in which something waits. */
  listLanes: (installationId: string, page: ListPage) => Promise<LaneView[]>
  /** Makes what waits in a lane due now; null when the project has no such lane. */
  flushLane: (projectId: string, id: string) => Promise<LaneView | null>
}

/** Following writes on this database. */
export function createFollowing(options: FlushOptions): Following {
  const { sql } = options
  return {
    findOperations: (installationId, filter, page) => findOperations(sql, installationId, filter, page),
    readOperations: (projectId, ids) => readOperations(sql, projectId, ids),
    countRecords: (projectId, ids) => countRecords(sql, projectId, ids),
    readBatch: (projectId, id) => readBatch(sql, projectId, id),
    listBatches: (installationId, page) => listBatches(sql, installationId, page),
    listLanes: (installationId, page) => listLanes(sql, installationId, page),
    flushLane: (projectId, id) => flushLane(options, projectId, id),
  }
}
