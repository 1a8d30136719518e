import type { Sql } from '../db/connect.ts'
import { isUniqueViolation } from '../db/pg-errors.ts'
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

const nameTaken = (name: string): WritebackError =>
  new WritebackError('CONFLICT', `There is an integration ${JSON.stringify(name)} already.`, {
    remedy: 'Choose another name.',
  })

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
    if (row === undefined) throw nameTaken(input.name)
    await announce(tx, 'integration', row.id)
    return row
  })
}

/**
 * Names an integration anew: paths find it by the new name, in every process at once, and by its id as ever.
 *
 * @returns null when the project has no such integration
 * @throws {WritebackError} CONFLICT when the project has one of this name
 */
export async function updateIntegration(
  sql: Sql,
  projectId: string,
  id: string,
  change: { name: string },
): Promise<IntegrationRow | null> {
  const update = sql.begin(async (tx) => {
    const [row] = await tx<IntegrationRow[]>`
      update integration set name = ${change.name} where project_id = ${projectId} and id = ${id}
      returning id, name, provider, created_at as "createdAt"`
    if (row === undefined) return null
    await announce(tx, 'integration', id)
    return row
  })
  return update.catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(change.name) : error
  })
}

/**
 * Deletes an integration.
 *
 * @returns the integration that was; null when the project has no such integration
 * @throws {WritebackError} CONFLICT while it is installed for anybody
 */
export async function deleteIntegration(
  sql: Sql,
  projectId: string,
  id: string,
): Promise<IntegrationRow | null> {
  return sql.begin(async (tx) => {
    // keeps installations from being made between the look and the deletion
    const [row] = await tx<IntegrationRow[]>`
      select id, name, provider, created_at as "createdAt" from integration
      where project_id = ${projectId} and id = ${id} for update`
    if (row === undefined) return null
    const installed = await tx`select from installation where integration_id = ${id} limit 1`
    if (installed.length > 0)
      throw new WritebackError('CONFLICT', 'The integration is installed.', {
        remedy: 'Delete its installations first, which ends what waits for each.',
      })
    await tx`delete from integration where id = ${id}`
    await announce(tx, 'integration', id)
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
