import type { FastifyRequest } from 'fastify'
import type { ChangedBy } from '../../connections/setup.ts'

/** Who calls, for the log of changes. */
export const changedBy = ({ access, id }: FastifyRequest): ChangedBy => ({
  key: access?.caller.kind === 'project' ? access.caller.keyId : 'admin',
  requestId: id,
})
