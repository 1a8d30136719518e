import type { Sql } from './connect.ts'
import type { Migration } from './migrate.ts'

/** The names of those of a release's migrations that the database does not have. It may have later ones. */
export async function findMissing(sql: Sql, migrations: readonly Migration[]): Promise<string[]> {
  const applied = await sql<{ version: number }[]>`select version from migration`
  const versions = new Set(applied.map(({ version }) => version))
  return migrations.filter(({ version }) => !versions.has(version)).map(({ name }) => name)
}
