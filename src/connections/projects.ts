import type { Sql } from '../db/connect.ts'
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

/** @throws {WritebackError} CONFLICT when the name is taken */
export async function createProject(sql: Sql, input: { name: string }): Promise<ProjectRow> {
  return sql.begin(async (tx) => {
    const [row] = await tx<ProjectRow[]>`
      insert into project (id, name) values (${newId()}, ${input.name})
      on conflict (name) do nothing
      returning id, name, created_at as "createdAt"`
    if (row === undefined)
      throw new WritebackError('CONFLICT', `There is a project ${JSON.stringify(input.name)} already.`, {
        remedy: 'Choose another name.',
      })
    await announce(tx, 'project', row.id)
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
