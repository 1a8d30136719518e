import type { Sql } from '../db/connect.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/log.ts'
import type { ListPage } from '../model/following.ts'
import { listDeliveries, type DeliveryRow } from './deliveries.ts'
import {
  createDestination,
  deleteDestination,
  getDestination,
  listDestinations,
  rotateSecret,
  updateDestination,
  type DestinationChange,
  type DestinationRow,
  type NewDestination,
} from './destinations.ts'
import type { Poster } from './post-message.ts'
import type { SecretCipher } from './secrets.ts'
import { sendTest, type Tested } from './send-test.ts'

/** Who changes something, for the log. */
export interface ChangedBy {
  /** Id of the project key, or `admin`. */
  key: string
  requestId: string
}

/**
 * The calls that set up where notifications go (contract section 4). All but `create` and the lists answer
 * null for what the project does not have; a list answers with at most the page's size, newest first.
 */
export interface Destinations {
  /** With the secret, shown this once. Throws a conflict when the name is taken or the project has too many. */
  create(projectId: string, input: NewDestination): Promise<DestinationRow & { secret: string }>
  get(projectId: string, id: string): Promise<DestinationRow | null>
  list(projectId: string, page: ListPage): Promise<DestinationRow[]>
  update(
    projectId: string,
    id: string,
    change: DestinationChange,
    by: ChangedBy,
  ): Promise<DestinationRow | null>
  remove(projectId: string, id: string, by: ChangedBy): Promise<DestinationRow | null>
  rotate(
    projectId: string,
    id: string,
    by: ChangedBy,
  ): Promise<(DestinationRow & { secret: string; oldSecretUntil: Date }) | null>
  /** Sends a test event now. */
  test(projectId: string, id: string): Promise<Tested | null>
  deliveries(projectId: string, id: string, page: ListPage): Promise<DeliveryRow[] | null>
}

/** What {@link createDestinations} needs. */
export interface DestinationsOptions {
  sql: Sql
  cipher: SecretCipher
  poster: Poster
  clock: Clock
  logger: Logger
}

/** The destinations on this database. */
export function createDestinations(options: DestinationsOptions): Destinations {
  const { sql, cipher, logger } = options
  const noted =
    (what: string, { key, requestId }: ChangedBy) =>
    <T extends DestinationRow>(row: T | null): T | null => {
      if (row !== null) logger.info({ destinationId: row.id, by: key, requestId }, what)
      return row
    }
  return {
    create: (projectId, input) => createDestination(sql, cipher, projectId, input),
    get: (projectId, id) => getDestination(sql, projectId, id),
    list: (projectId, page) => listDestinations(sql, projectId, page),
    update: (projectId, id, change, by) =>
      updateDestination(sql, projectId, id, change).then(noted('a destination was changed', by)),
    remove: (projectId, id, by) =>
      deleteDestination(sql, projectId, id).then(noted('a destination was deleted', by)),
    rotate: (projectId, id, by) =>
      rotateSecret(sql, cipher, projectId, id).then(noted('a destination has a new secret', by)),
    test: (projectId, id) => sendTest(options, projectId, id),
    deliveries: async (projectId, id, page) =>
      (await getDestination(sql, projectId, id)) === null ? null : await listDeliveries(sql, id, page),
  }
}
