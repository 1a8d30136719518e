import { isUuid } from '../kernel/ids.ts'
import { invalidInput } from './validation.ts'

/** Query of a list, as PageQuery lets it through. */
export interface ListQuery {
  pageSize?: number
  pageToken?: string
}

/** Which page to read. */
export interface PageRequest {
  size: number
  /** The id after which the page begins, newest first; null for the first page. */
  after: string | null
}

const DEFAULT_PAGE_SIZE = 100

/** A token says where the next page begins; it is opaque so that this may change. */
const tokenFor = (id: string): string => Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url')

function idOf(token: string): string | null {
  const hex = Buffer.from(token, 'base64url').toString('hex')
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return isUuid(id) && tokenFor(id) === token ? id : null
}

/**
 * The page that a query asks for.
 *
 * @throws {WritebackError} INVALID_REQUEST for a token that no answer of ours held
 */
export function pageRequest(query: ListQuery): PageRequest {
  const { pageSize = DEFAULT_PAGE_SIZE, pageToken } = query
  if (pageToken === undefined || pageToken === '') return { size: pageSize, after: null }
  const after = idOf(pageToken)
  if (after === null)
    throw invalidInput(
      [{ path: '/query/pageToken', message: 'is not a page token of this service' }],
      'query',
    )
  return { size: pageSize, after }
}

/** A page as it is answered. */
export interface PageAnswer<T> {
  results: T[]
  pagination: { done: boolean; nextPageToken?: string }
}

/** Shapes one page; `next` is the id after which the following page begins, null on the last page. */
export function pageAnswer<T>(page: { results: T[]; next: string | null }): PageAnswer<T> {
  const { results, next } = page
  return {
    results,
    pagination: next === null ? { done: true } : { done: false, nextPageToken: tokenFor(next) },
  }
}
