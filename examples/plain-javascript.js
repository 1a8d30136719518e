/* eslint-disable -- plain JavaScript: there are no types to check */
// The same without the client, in plain JavaScript: any language that speaks HTTP can do this.
const { WRITEBACK_URL = 'http://127.0.0.1:8080', WRITEBACK_API_KEY = '' } = process.env
const { WRITEBACK_PROJECT = 'acme', WRITEBACK_INTEGRATION = 'crm', GROUP_REF = 'customer-42' } = process.env
const project = `${WRITEBACK_URL}/v1/projects/${WRITEBACK_PROJECT}`

/**
 * @param {string} method
 * @param {string} url
 * @param {object} [body]
 * @returns {Promise<any>} the answer's JSON
 */
async function call(method, url, body) {
  const response = await fetch(url, {
    method,
    headers: {
      'X-Api-Key': WRITEBACK_API_KEY,
      'Content-Type': 'application/json',
      // The same call may be sent again with the same key: it is made once.
      ...(method === 'POST' ? { 'Idempotency-Key': crypto.randomUUID() } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const answer = /** @type {any} */ (await response.json())
  // 422 without a problem is an outcome: the provider refused the record.
  if (response.ok || (response.status === 422 && answer.code === undefined)) return answer
  throw new Error(`${response.status} ${answer.code}: ${answer.detail}`)
}

const write = { groupRef: GROUP_REF, type: 'create', record: { LastName: 'Moana' } }

const synchronous = await call(
  'POST',
  `${project}/integrations/${WRITEBACK_INTEGRATION}/objects/Contact`,
  write,
)
console.log(
  synchronous.result.success ? `written as ${synchronous.result.recordId}` : synchronous.errors[0].message,
)

const { operationId } = await call(
  'POST',
  `${project}/integrations/${WRITEBACK_INTEGRATION}/objects/Contact`,
  {
    ...write,
    mode: 'asynchronous',
  },
)
/** @type {any} */
let operation
do operation = await call('GET', `${project}/operations/${operationId}?wait=30`)
while (operation.status === 'in_progress')
console.log(`${operation.metadata.state}: ${operation.result}`)
