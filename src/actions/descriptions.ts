import { createHash } from 'node:crypto'
import { LoadingCache } from '../connections/loading-cache.ts'
import type { Clock } from '../kernel/clock.ts'
import { WritebackError } from '../kernel/errors.ts'
import type { FieldSummary, ObjectSummary, ProviderRead } from '../providers/reading-provider.ts'
import { Deadline } from './deadline.ts'
import { readFailed } from './failures.ts'
import { runCall, type Caller, type Make } from './run-call.ts'
import type { ReadingSession } from './sessions.ts'

/** Milliseconds that what an org was described to have is believed; it hardly ever changes. */
const LIFE_MS = 5 * 60_000
/** Lists kept of objects and of fields: an org has thousands of the one, an object at most 800 of the other. */
const MAX_KEPT = { objects: 50, fields: 300 }
/** Milliseconds that loading takes at most: several callers may wait for it, each in its own time. */
const LOAD_MS = 30_000
/** Milliseconds after which an old list is answered while the org is slow to give a new one. */
const PATIENCE_MS = 2_000

/** What orgs have, kept for minutes for each session, so that a changed connection begins anew everywhere. */
export interface Descriptions {
  objects: (installationId: string, deadline: Deadline) => Promise<readonly ObjectSummary[]>
  /** The fields of an object by its exact name; null when the org has no such object. */
  fields: (
    installationId: string,
    objectName: string,
    deadline: Deadline,
  ) => Promise<readonly FieldSummary[] | null>
}

/** The session of which a list was made; another user of the same org may see other fields. */
const sessionKey = ({ session, version }: ReadingSession): string =>
  `${version} ${session.instanceUrl} ${createHash('sha256').update(session.accessToken).digest('base64')}`

/**
 * Reads what orgs have, and keeps it.
 *
 * @param cut ends what is being loaded
 */
export function createDescriptions(caller: Caller, cut: AbortSignal): Descriptions {
  const { clock, sessions } = caller
  const objects = createCache<readonly ObjectSummary[]>(clock, MAX_KEPT.objects)
  const fields = createCache<readonly FieldSummary[]>(clock, MAX_KEPT.fields)

  async function load<T>(installationId: string, make: Make<ProviderRead<T[]>>): Promise<T[] | null> {
    const answer = await runCall(caller, installationId, new Deadline(clock, LOAD_MS, cut), make)
    if (answer.kind === 'read') return answer.value
    const isUnknown = answer.kind === 'refused' && answer.status === 404
    if (isUnknown) return null
    throw readFailed(answer)
  }

  return {
    objects: async (installationId, deadline) => {
      const key = sessionKey(await deadline.within(sessions.open(installationId)))
      const found = objects.get(key, () =>
        load(installationId, (provider, session, limits) => provider.describeGlobal(session, limits)),
      )
      const list = await deadline.within(found)
      if (list !== null) return list
      throw new WritebackError('PROVIDER_UNREACHABLE', 'The provider has no list of objects.')
    },
    fields: async (installationId, objectName, deadline) => {
      const key = `${sessionKey(await deadline.within(sessions.open(installationId)))} ${objectName}`
      const found = fields.get(key, () =>
        load(installationId, (provider, session, limits) =>
          provider.describeObject(session, objectName, limits),
        ),
      )
      return deadline.within(found)
    },
  }
}

const createCache = <V extends object>(clock: Clock, max: number): LoadingCache<V> =>
  new LoadingCache<V>({
    max,
    ttlMs: LIFE_MS,
    patienceMs: PATIENCE_MS,
    clock,
    mayServeOld: () => false,
  })
