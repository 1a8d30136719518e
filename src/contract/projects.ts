import Type, { type Static } from 'typebox'
import { Id, Name, Time } from './fields.ts'

export const NewProject = Type.Object(
  { name: Name },
  { additionalProperties: false, title: 'NewProject', examples: [{ name: 'acme' }] },
)
export type NewProject = Static<typeof NewProject>

export const ProjectUpdate = Type.Object(
  { name: Name },
  { additionalProperties: false, title: 'ProjectUpdate', examples: [{ name: 'acme-europe' }] },
)
export type ProjectUpdate = Static<typeof ProjectUpdate>

export const Project = Type.Object({ id: Id, name: Name, createTime: Time }, { title: 'Project' })
export type Project = Static<typeof Project>
