/** Which page of a list to read. */
export interface PageRequest {
  /** The most rows to return. */
  size: number
  /** Return rows older than the one of this id; null begins with the newest. */
  after: string | null
}

/** One page, newest first. */
export interface Page<T> {
  results: T[]
  /** The id to continue after; null when nothing follows. */
  next: string | null
}

/** Cuts rows that were read with a limit of `size + 1` into a page: the extra row says that more follow. */
export function cutPage<T extends { id: string }>(rows: readonly T[], size: number): Page<T> {
  const results = rows.slice(0, size)
  return { results, next: rows.length > size ? (results.at(-1)?.id ?? null) : null }
}
