import type { Issue } from '../../kernel/errors.ts'

/** What is wrong with the name of the field that an upsert is keyed by: it stands in the provider's paths. */
export const fieldNameIssues = (name: string, path: string): Issue[] =>
  /^[A-Za-z][A-Za-z0-9_]*$/.test(name)
    ? []
    : [{ path, message: 'must be a field name: letters, digits and underscores, a letter first' }]
