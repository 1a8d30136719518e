import type { Sql } from '../db/connect.ts'
import { isUniqueViolation } from '../db/pg-errors.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { announce } from './announce.ts'
import { cutPage, type Page, type PageRequest } from './page.ts'

/** A project as it is kept. */
export interface ProjectRow {
  id: string
  name: string
  createdAt: Date
}

const nameTaken = (name: string): WritebackError =>
  new WritebackError('CONFLICT', `There is a project ${JSON.stringify(name)} already.`, {
    remedy: 'Choose another name.',
  })

/** @throws {WritebackError} CONFLICT when the name is taken */
export async function createProject(sql: Sql, input: { name: string }): Promise<ProjectRow> {
  return sql.begin(async (tx) => {
    const [row] = await tx<ProjectRow[]>`
      insert into project (id, name) values (${newId()}, ${input.name})
      on conflict (name) do nothing
      returning id, name, created_at as "createdAt"`
    if (row === undefined) throw nameTaken(input.name)
    await announce(tx, 'project', row.id)
    return row
  })
}

/**
 * Names a project anew: paths find it by the new name, in every process at once, and by its id as ever.
 *
 * @returns null when there is no such project
 * @throws {WritebackError} CONFLICT when the name is taken
 */
export async function updateProject(
  sql: Sql,
  id: string,
  change: { name: string },
): Promise<ProjectRow | null> {
  const update = sql.begin(async (tx) => {
    const [row] = await tx<ProjectRow[]>`
      update project set name = ${change.name} where id = ${id}
      returning id, name, created_at as "createdAt"`
    if (row === undefined) return null
    await announce(tx, 'project', id)
    return row
  })
  return update.catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(change.name) : error
  })
}

/**
 * Deletes a project with its keys, integrations and connections. What was written is kept for its time.
 *
 * @returns the project that was; null when there is no such project
 * @throws {WritebackError} CONFLICT while anything is installed in it
 */
export async function deleteProject(sql: Sql, id: string): Promise<ProjectRow | null> {
  return sql.begin(async (tx) => {
    // keeps installations from being made between the look and the deletion
    const [row] = await tx<ProjectRow[]>`
      select id, name, created_at as "createdAt" from project where id = ${id} for update`
    if (row === undefined) return null
    const installed = await tx`select from installation where project_id = ${id} limit 1`
    if (installed.length > 0)
      throw new WritebackError('CONFLICT', 'Installations are left in this project.', {
        remedy: 'Delete its installations first, which ends what waits for each.',
      })
    await tx`delete from project where id = ${id}`
    await announce(tx, 'project', id)
    return row
  })
}

export async function getProject(sql: Sql, id: string): Promise<ProjectRow | null> {
  const [row] = await sql<ProjectRow[]>`
    select id, name, created_at as "createdAt" from project where id = ${id}`
  return row ?? null
}

export async function listProjects(sql: Sql, page: PageRequest): Promise<Page<ProjectRow>> {
  const rows = await sql<ProjectRow[]>`
    select id, name, created_at as "createdAt" from project
    where ${page.after}::uuid is null or id < ${page.after}::uuid
    order by id desc
    limit ${page.size + 1}`
  return cutPage(rows, page.size)
}
