/** Calls that are not named by their path. */
const given: Record<string, string> = {
  'get /healthz': 'getLiveness',
  'get /readyz': 'getReadiness',
  'get /metrics': 'getMetrics',
  'post /v1/projects/{project}/integrations/{integration}/objects/{object}': 'write',
  'post /v1/projects/{project}/integrations/{integration}/writes': 'writeMany',
  'post /v1/projects/{project}/connections:connect': 'createConnectLink',
  'post /v1/projects/{project}/operations:batchGet': 'getOperations',
  'get /v1/projects/{project}/operations/{operation}/logs': 'listOperationLogs',
  'get /v1/projects/{project}/destinations/{id}/deliveries': 'listDestinationDeliveries',
  'post /v1/projects/{project}/destinations/{id}:rotate-secret': 'rotateDestinationSecret',
}

const verbs: Record<string, string> = { post: 'create', patch: 'update', put: 'replace', delete: 'delete' }

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
const camel = (text: string): string => text.split('-').map(capital).join('')
const uncapital = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
const singular = (text: string): string =>
  text.endsWith('ies') ? `${text.slice(0, -3)}y` : text.replace(/(?<=ch)es$|s$/, '')

/**
 * The name of a call, by which clients are generated: `listLanes`, `getProject`, `createApiKey`, `flushLane`.
 * A call may give its own; of the others it follows from method and path, so that it never changes by itself.
 */
export function operationIdOf(method: string, path: string): string {
  const known = given[`${method} ${path}`]
  if (known !== undefined) return known
  const [route = '', action] = path.split(/:(?=[a-zA-Z-]+$)/)
  const parts = route.split('/').filter((part) => part !== '')
  const isOfOne = parts.at(-1)?.startsWith('{') === true
  const thing = parts.findLast((part) => !part.startsWith('{')) ?? ''
  const one = camel(singular(thing))
  if (action !== undefined) return uncapital(camel(action)) + (isOfOne ? one : camel(thing))
  if (method === 'get') return isOfOne ? `get${one}` : `list${camel(thing)}`
  return (verbs[method] ?? method) + one
}
