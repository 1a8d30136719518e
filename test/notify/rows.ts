import type { Sql } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { secretPurpose, type SecretCipher } from '../../src/notify/secrets.ts'

/** A signing secret that every destination made here has. */
export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** A cipher that hides nothing and still refuses another purpose. */
export const plainCipher: SecretCipher = {
  encrypt: (text, purpose) => Buffer.from(JSON.stringify([purpose, text])),
  decrypt: (data, purpose) => {
    const [of, text] = JSON.parse(Buffer.from(data).toString('utf8')) as [string, string]
    if (of !== purpose) throw new Error('another purpose')
    return text
  },
}

let names = 0

/** Makes a project, where there is none, with a destination; answers the destination's id. */
export async function projectWith(
  sql: Sql,
  part: { projectId?: string; url?: string; digest?: [records: number, seconds: number] } = {},
): Promise<string> {
  const { projectId = newId(), url = 'https://hooks.example', digest } = part
  const id = newId()
  names += 1
  await sql`insert into project (id, name) values (${projectId}, ${projectId}) on conflict do nothing`
  await sql`
    insert into destination (id, project_id, name, type, url, secret, digest_records, digest_seconds)
    values (${id}, ${projectId}, ${`hook ${names}`}, 'webhook', ${url},
            ${plainCipher.encrypt(SECRET, secretPurpose(id))}, ${digest?.[0] ?? null}, ${digest?.[1] ?? null})`
  return id
}

/** Puts events for a destination into the outbox; their ids, in their order. */
export async function putEvents(sql: Sql, destinationId: string, count: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    insert into notification (id, project_id, destination_id, operation_id, data, due_at)
    select new_event_id(), d.project_id, d.id, gen_random_uuid(), json_build_object('operationId', n, 'reference', null),
      now() + make_interval(secs => coalesce(d.digest_seconds, 0))
    from destination d, generate_series(1, ${count}::int) n where d.id = ${destinationId} order by n
    returning id`
  return rows.map((row) => row.id)
}
