import jsforce from 'jsforce'
import { describe, expect, it } from 'vitest'
import { start } from './client.ts'

describe('the real client', () => {
  it('logs in, refreshes, writes, reads and describes', async () => {
    const { url, org } = await start()
    const connection = new jsforce.Connection({
      version: '60.0',
      instanceUrl: url,
      accessToken: 'stale',
      refreshToken: 'demo-refresh-token',
      oauth2: {
        loginUrl: url,
        clientId: 'writeback-demo',
        clientSecret: 'demo-secret',
        redirectUri: `${url}/cb`,
      },
    })
    const created = await connection
      .sobject('Contact')
      .create([{ LastName: 'a', External_Id__c: 'a' }, { Title: 'b' }])
    expect(created.map((result) => result.success)).toEqual([true, false])
    const upserted = await connection
      .sobject('Contact')
      .upsert([{ LastName: 'c', External_Id__c: 'A' }], 'External_Id__c')
    expect(upserted).toMatchObject([{ success: true, created: false, id: created[0]?.id }])
    const id = created[0]?.id ?? ''
    expect(await connection.sobject('Contact').retrieve(id)).toMatchObject({ Id: id, LastName: 'c' })
    await connection.sobject('Contact').update({ Id: id, Title: 'd' })
    const described = await connection.describe('Contact')
    expect(described.fields.find((field) => field.name === 'External_Id__c')).toMatchObject({
      externalId: true,
    })
    expect((await connection.describeGlobal()).sobjects.length).toBeGreaterThan(6)
    expect(connection.limitInfo.apiUsage).toEqual({ used: org.apiUsed, limit: 5_000_000 })
    expect(await connection.identity()).toMatchObject({ organization_id: org.id })
    await connection.sobject('Contact').destroy(id)
    expect(org.count('Contact')).toBe(0)
  })
})
