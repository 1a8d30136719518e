import { methodNotAllowed, notFound } from './api-error.ts'
import type { ApiError } from './api-error.ts'
import { consentPath, loginPath } from './authorize-pages.ts'
import { authorize, consent, logIn } from './authorize.ts'
import type { Route } from './call.ts'
import { createCollection, deleteCollection, updateCollection, upsertCollection } from './collections.ts'
import { callsOfBatch, compositeBatch, compositeBatchVersion } from './composite-batch.ts'
import { composite } from './composite.ts'
import { describeGlobal, describeObject } from './describe.ts'
import { createInteraction, deleteInteraction, getInteraction } from './engagement.ts'
import { INTERACTION } from './engagement-objects.ts'
import { identity, revoke } from './identity.ts'
import { limits } from './limits.ts'
import { nextQueryPage, runQuery } from './query.ts'
import { retrieveCollection } from './retrieve.ts'
import {
  basicInformation,
  createSingle,
  deleteSingle,
  getSingle,
  updateSingle,
  upsertSingle,
} from './single-records.ts'
import { tokenEndpoint } from './token-endpoint.ts'
import { listResources, listVersions } from './versions.ts'

/** First versions of collections and of their upsert (facts 3). */
const collectionsVersion = 42
const collectionsUpsertVersion = 46
/** First version of engagement interactions (facts 11). */
const engagementVersion = 55
const engagementPath = /^connect\/service-excellence\/engagement-interactions(?:\/[^/]+)?$/

type Methods = Partial<Record<string, Route>>

/** The route of a path outside `/services/data/vXX.X`. */
export function routeOutside(method: string, path: string): Route {
  if (path === '/services/oauth2/token') return { operation: 'token', open: true, handle: tokenEndpoint }
  if (path === '/services/oauth2/authorize')
    return pick(method, { GET: { operation: 'authorize', open: true, handle: authorize } })
  if (path === loginPath) return pick(method, { POST: { operation: 'login', open: true, handle: logIn } })
  if (path === consentPath)
    return pick(method, { POST: { operation: 'consent', open: true, handle: consent } })
  if (path === '/services/oauth2/revoke') return { operation: 'revoke', open: true, handle: revoke }
  if (path === '/services/data' || path === '/services/data/') {
    return pick(method, { GET: { operation: 'versions', open: true, handle: listVersions } })
  }
  if (path === '/services/oauth2/userinfo' || path.startsWith('/id/')) {
    return pick(method, { GET: { operation: 'identity', handle: identity } })
  }
  return { ...refusing(notFound()), open: true }
}

/** The route of the segments after `/services/data/vXX.X`; one that refuses when nothing fits. */
export function routeInside(method: string, segments: string[], version: number): Route {
  const [first, second] = segments
  if (segments.length === 0) {
    return pick(method, { GET: { operation: 'resources', handle: (_, call) => listResources(call) } })
  }
  if (first === 'limits' && segments.length === 1)
    return pick(method, { GET: { operation: 'limits', handle: limits } })
  if (first === 'query' && segments.length === 1)
    return pick(method, { GET: { operation: 'query', handle: runQuery } })
  if (first === 'query' && segments.length === 2)
    return pick(method, { GET: { operation: 'query', handle: nextQueryPage } })
  if (first === 'sobjects') return singleRoute(method, segments)
  if (first === 'composite' && second === 'sobjects' && version >= collectionsVersion) {
    return collectionsRoute(method, segments, version)
  }
  if (first === 'composite' && segments.length === 1) {
    return pick(method, {
      POST: { operation: 'composite', handle: (org, call) => composite(org, call, routeInside) },
    })
  }
  if (first === 'composite' && second === 'batch' && segments.length === 2) {
    if (version < compositeBatchVersion) return refusing(notFound())
    const handle: Route['handle'] = (org, call) => compositeBatch(org, call, routeInside)
    return pick(method, { POST: { operation: 'compositeBatch', calls: callsOfBatch, handle } })
  }
  if (engagementPath.test(segments.join('/')) && version >= engagementVersion) {
    return engagementRoute(method, segments)
  }
  return refusing(notFound())
}

function engagementRoute(method: string, segments: string[]): Route {
  const object = INTERACTION
  if (segments.length === 3)
    return pick(method, { POST: { operation: 'engagement.create', object, handle: createInteraction } })
  return pick(method, {
    GET: { operation: 'engagement.get', object, handle: getInteraction },
    DELETE: { operation: 'engagement.delete', object, handle: deleteInteraction },
  })
}

function singleRoute(method: string, segments: string[]): Route {
  const [, object, key, value] = segments
  if (object === undefined)
    return pick(method, { GET: { operation: 'describeGlobal', handle: describeGlobal } })
  if (segments.length === 2) {
    return pick(method, {
      GET: { operation: 'single.info', object, handle: basicInformation },
      POST: { operation: 'single.create', object, handle: createSingle },
    })
  }
  if (segments.length === 3 && key === 'describe') {
    return pick(method, { GET: { operation: 'describe', object, handle: describeObject } })
  }
  if (segments.length === 3) {
    const create: Methods =
      key === 'Id' ? { POST: { operation: 'single.create', object, handle: createSingle } } : {}
    return pick(method, {
      ...create,
      GET: { operation: 'single.get', object, handle: getSingle },
      PATCH: { operation: 'single.update', object, handle: updateSingle },
      DELETE: { operation: 'single.delete', object, handle: deleteSingle },
    })
  }
  if (segments.length === 4 && value !== '') {
    return pick(method, {
      GET: { operation: 'single.get', object, handle: getSingle },
      PATCH: { operation: 'single.upsert', object, handle: upsertSingle },
      DELETE: { operation: 'single.delete', object, handle: deleteSingle },
    })
  }
  return refusing(notFound())
}

function collectionsRoute(method: string, segments: string[], version: number): Route {
  const object = segments[2]
  if (object === undefined) {
    return pick(method, {
      POST: { operation: 'collections.create', handle: createCollection },
      PATCH: { operation: 'collections.update', handle: updateCollection },
      DELETE: { operation: 'collections.delete', handle: deleteCollection },
    })
  }
  if (segments.length === 3) {
    const retrieve: Route = { operation: 'collections.retrieve', object, handle: retrieveCollection }
    return pick(method, { GET: retrieve, POST: retrieve })
  }
  if (segments.length === 4 && version >= collectionsUpsertVersion) {
    return pick(method, { PATCH: { operation: 'collections.upsert', object, handle: upsertCollection } })
  }
  return refusing(notFound())
}

const pick = (method: string, methods: Methods): Route =>
  methods[method] ?? refusing(methodNotAllowed(method, Object.keys(methods)))

/** A route that refuses when it is run, so that the session is checked first, as on the platform. */
const refusing = (error: ApiError): Route => ({
  operation: 'none',
  handle: () => {
    throw error
  },
})
