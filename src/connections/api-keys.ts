import { createHash, randomBytes } from 'node:crypto'
import type { Sql } from '../db/connect.ts'
import { newId } from '../kernel/ids.ts'
import { announce } from './announce.ts'
import { cutPage, type Page, type PageRequest } from './page.ts'

/** What a project key may do (contract section 2). */
export type Scope = 'write' | 'read' | 'admin'

/** A key as it is kept: never the key itself. */
export interface ApiKeyRow {
  id: string
  label: string
  scopes: Scope[]
  createdAt: Date
}

const keyPattern = /^wb_[A-Za-z0-9_-]{43}$/

/** Whether a text could be a project key at all; anything else need not be looked up. */
export const isApiKey = (text: string): boolean => keyPattern.test(text)

const newApiKey = (): string => `wb_${randomBytes(32).toString('base64url')}`

/**
 * What is kept of a key. A fast hash without salt is right here and only here: a key is 256 random
 * bits, so there is nothing to guess and no two are alike; slow hashes protect what people choose.
 */
export const hashKey = (key: string): Buffer => createHash('sha256').update(key).digest()

/** Makes a key. `key` is in this answer only. */
export async function createApiKey(
  sql: Sql,
  projectId: string,
  input: { label: string; scopes: Scope[] },
): Promise<ApiKeyRow & { key: string }> {
  const key = newApiKey()
  return sql.begin(async (tx) => {
    const [row] = await tx<[ApiKeyRow]>`
      insert into api_key (id, project_id, label, scopes, key_hash)
      values (${newId()}, ${projectId}, ${input.label}, ${input.scopes}, ${hashKey(key)})
      returning id, label, scopes, created_at as "createdAt"`
    await announce(tx, 'api_key', row.id)
    return { ...row, key }
  })
}

/**
 * Changes what a key is called and what it may do, in every process at once.
 *
 * @returns null when the project has no such key
 */
export async function updateApiKey(
  sql: Sql,
  projectId: string,
  id: string,
  change: { label?: string; scopes?: Scope[] },
): Promise<ApiKeyRow | null> {
  return sql.begin(async (tx) => {
    const [row] = await tx<ApiKeyRow[]>`
      update api_key set label = coalesce(${change.label ?? null}, label),
        scopes = coalesce(${change.scopes ?? null}::text[], scopes)
      where project_id = ${projectId} and id = ${id}
      returning id, label, scopes, created_at as "createdAt"`
    if (row === undefined) return null
    await announce(tx, 'api_key', id)
    return row
  })
}

/**
 * Revokes a key: it opens nothing any more, in any process.
 *
 * @returns the key that was; null when the project has no such key
 */
export async function deleteApiKey(sql: Sql, projectId: string, id: string): Promise<ApiKeyRow | null> {
  return sql.begin(async (tx) => {
    const [row] = await tx<ApiKeyRow[]>`
      delete from api_key where project_id = ${projectId} and id = ${id}
      returning id, label, scopes, created_at as "createdAt"`
    if (row === undefined) return null
    await announce(tx, 'api_key', id)
    return row
  })
}

export async function getApiKey(sql: Sql, projectId: string, id: string): Promise<ApiKeyRow | null> {
  const [row] = await sql<ApiKeyRow[]>`
    select id, label, scopes, created_at as "createdAt" from api_key
    where project_id = ${projectId} and id = ${id}`
  return row ?? null
}

export async function listApiKeys(sql: Sql, projectId: string, page: PageRequest): Promise<Page<ApiKeyRow>> {
  const rows = await sql<ApiKeyRow[]>`
    select id, label, scopes, created_at as "createdAt" from api_key
    where project_id = ${projectId} and (${page.after}::uuid is null or id < ${page.after}::uuid)
    order by id desc
    limit ${page.size + 1}`
  return cutPage(rows, page.size)
}
