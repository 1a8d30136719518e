import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, type Service } from '../support/service.ts'

interface Schema {
  title?: string
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  maximum?: number
  enum?: string[]
  required?: string[]
  additionalProperties?: unknown
}
interface Document {
  openapi: string
  paths: Record<
    string,
    Record<
      string,
      {
        requestBody?: { content: Record<string, { schema: Schema }> }
        parameters: { name: string; in: string }[]
        responses: Record<string, { content?: Record<string, { schema: Schema }> }>
      }
    >
  >
}

let service: Service

beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

describe('the OpenAPI document', () => {
  it('is made of the schemas that validate, and needs no key', async () => {
    const answer = await fetch(`${service.app.url}/openapi.json`)
    expect(answer.status).toBe(200)
    const document = (await answer.json()) as Document
    expect(document.openapi).toMatch(/^3\.1/)
    const write =
      document.paths['/v1/projects/{project}/integrations/{integration}/objects/{object}']!['post']!
    const schema = write.requestBody!.content['application/json']!.schema
    expect(schema.required).toEqual(['groupRef', 'type'])
    expect(schema.additionalProperties).toBe(false)
    const limit = schema.properties!['autoBatchPolicy']!.properties!['maxDelaySeconds']!.maximum!
    expect(Object.keys(write.responses)).toEqual(expect.arrayContaining(['200', '422', 'default']))
    const titles = (status: string) =>
      write.responses[status]!.content!['application/json']!.schema.anyOf!.map(({ title }) => title)
    expect(titles('200')).toEqual(['WriteAccepted', 'WriteSucceeded', 'BatchAnswer'])
    expect(titles('422')).toEqual(['WriteFailed', 'BatchAnswer'])
    expect(write.parameters.map(({ name, in: where }) => `${where} ${name}`)).toContain(
      'header request-timeout',
    )
    // what the document says is what the service does
    const { tenant } = service
    const post = (maxDelaySeconds: number) =>
      tenant.call(
        'POST',
        `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/Contact`,
        {
          groupRef: tenant.groupRef,
          type: 'create',
          mode: 'asynchronous',
          record: { LastName: 'x' },
          autoBatchPolicy: { maxDelaySeconds },
        },
      )
    expect((await post(limit)).status).toBe(200)
    expect((await post(limit + 1)).status).toBe(400)
  })

  it('describes a bulk call as NDJSON and as JSON', async () => {
    const document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as Document
    const { requestBody, responses } =
      document.paths['/v1/projects/{project}/integrations/{integration}/writes']!['post']!
    const titles = (content: Record<string, { schema: Schema }>) =>
      Object.entries(content).map(([type, { schema }]) => [type, schema.title])
    expect(titles(requestBody!.content)).toEqual([
      ['application/json', 'BulkRequest'],
      ['application/x-ndjson', 'BulkWrite'],
    ])
    expect(titles(responses['200']!.content!)).toEqual([
      ['application/json', 'BulkAnswer'],
      ['application/x-ndjson', 'BulkResult'],
    ])
    const line = requestBody!.content['application/x-ndjson']!.schema
    expect(line.required).toEqual(['groupRef', 'objectName', 'type', 'record'])
    expect(line.additionalProperties).toBe(false)
  })

  it('knows every call of this version', async () => {
    const document = (await (await fetch(`${service.app.url}/openapi.json`)).json()) as Document
    const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    )
    expect(calls).toEqual(
      expect.arrayContaining([
        'post /v1/projects',
        'get /v1/projects',
        'get /v1/projects/{project}',
        'post /v1/projects/{project}/api-keys',
        'get /v1/projects/{project}/integrations/{integration}',
        'post /v1/projects/{project}/connections',
        'post /v1/projects/{project}/integrations/{integration}/installations',
        'post /v1/projects/{project}/integrations/{integration}/writes',
        'get /v1/projects/{project}/operations/{operation}',
        'get /v1/projects/{project}/operations/{operation}/logs',
        'post /v1/projects/{project}/operations:batchGet',
        'get /v1/projects/{project}/integrations/{integration}/installations/{installationId}/operations',
        'get /v1/projects/{project}/batches/{batch}',
        'get /v1/projects/{project}/integrations/{integration}/installations/{installationId}/lanes',
        'post /v1/projects/{project}/lanes/{lane}:flush',
      ]),
    )
  })
})
