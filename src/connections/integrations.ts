import type { Sql } from '../db/connect.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { announce } from './announce.ts'
import { cutPage, type Page, type PageRequest } from './page.ts'

/** An integration as it is kept. */
export interface IntegrationRow {
  id: string
  name: string
  provider: string
  createdAt: Date
}

/** @throws {WritebackError} CONFLICT when the project has one of this name */
export async function createIntegration(
  sql: Sql,
  projectId: string,
  input: { name: string; provider: string },
): Promise<IntegrationRow> {
  return sql.begin(async (tx) => {
    const [row] = await tx<IntegrationRow[]>`
      insert into integration (id, project_id, name, provider)
      values (${newId()}, ${projectId}, ${input.name}, ${input.provider})
      on conflict (project_id, name) do nothing
      returning id, name, provider, created_at as "createdAt"`
    if (row === undefined)
      throw new WritebackError('CONFLICT', `There is an integration ${JSON.stringify(input.name)} already.`, {
        remedy: 'Choose another name.',
      })
    await announce(tx, 'integration', row.id)
    return row
  })
}

export async function getIntegration(
  sql: Sql,
  projectId: string,
  id: string,
): Promise<IntegrationRow | null> {
  const [row] = await sql<IntegrationRow[]>`
    select id, name, provider, created_at as "createdAt" from integration
    where project_id = ${projectId} and id = ${id}`
  return row ?? null
}

export async function listIntegrations(
  sql: Sql,
  projectId: string,
  page: PageRequest,
): Promise<Page<IntegrationRow>> {
  const rows = await sql<IntegrationRow[]>`
    select id, name, provider, created_at as "createdAt" from integration
    where project_id = ${projectId} and (${page.after}::uuid is null or id < ${page.after}::uuid)
    order by id desc
    limit ${page.size + 1}`
  return cutPage(rows, page.size)
}
