import type { Session } from '../model/credentials.ts'
import type { ApiUsage, CallAnswer } from '../model/outcome.ts'
import type { CallOptions } from './provider.ts'

/** Why a read brought nothing. It wrote nothing either, so no answer of it is `lost`. */
export type NotRead = Exclude<CallAnswer, { kind: 'answered' | 'lost' }>

/** What a read brought, or why it brought nothing. */
export type ProviderRead<T> = { kind: 'read'; value: T; usage: ApiUsage | null } | NotRead

/** What to read: a query, or the next page of one as `nextRecordsUrl` named it. */
export type QueryAsked = { soql: string } | { nextRecordsUrl: string }

/** One page of a query. */
export interface QueryPage {
  /** The JSON text of the page: `totalSize`, `done`, `records`, and `nextRecordsUrl` where there is one. */
  json: string
  records: unknown[]
  /** The path of the next page; null on the last one. */
  nextRecordsUrl: string | null
}

/** An object of the org, as its list of objects has it (facts 9). */
export interface ObjectSummary {
  name: string
  label: string
  /** The first three characters of its records' ids; null for an object without records of its own. */
  keyPrefix: string | null
  createable: boolean
  updateable: boolean
}

/** A field of an object (facts 9). */
export interface FieldSummary {
  name: string
  label: string
  externalId: boolean
  createable: boolean
  updateable: boolean
}

/** The methods of a request that is passed on as it is. */
export type PassedMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** A request that is passed on as it is. */
export interface PassedRequest {
  method: PassedMethod
  /** With its query: from `/services/` on, or relative to the API version. Never a URL. */
  path: string
  headers: readonly { key: string; value: string }[]
  /** Null for none; of the type that a `content-type` among the headers names, JSON without one. */
  body: string | null
}

/** The provider's answer to it, whatever its status; `headers` by lower-case name. */
export interface PassedAnswer {
  kind: 'passed'
  status: number
  headers: Record<string, string>
  body: string
  /** The same as far as the session and the org's limits are concerned. */
  said: CallAnswer
}

/** How a request ended that is passed on: without an answer, it may have been carried out when that was `lost`. */
export type Passed = PassedAnswer | Exclude<CallAnswer, { kind: 'answered' }>

/** What reading from a CRM needs of it, and passing requests on to it. Nothing is retried; nothing throws. */
export interface ReadingProvider {
  /** The first page of a query, or the next one. */
  query(
    session: Session,
    asked: QueryAsked,
    limits: CallOptions,
  ): Promise<{ answer: ProviderRead<QueryPage>; calls: number }>
  /** The objects that the connected user may see. */
  describeGlobal(
    session: Session,
    limits: CallOptions,
  ): Promise<{ answer: ProviderRead<ObjectSummary[]>; calls: number }>
  /** The fields of an object that the connected user may see. */
  describeObject(
    session: Session,
    objectName: string,
    limits: CallOptions,
  ): Promise<{ answer: ProviderRead<FieldSummary[]>; calls: number }>
  /** Passes a request on to the session's own instance, and to no other host; a redirect is an answer like any other. */
  request(
    session: Session,
    request: PassedRequest,
    limits: CallOptions,
  ): Promise<{ answer: Passed; calls: number }>
}
