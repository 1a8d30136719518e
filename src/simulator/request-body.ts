import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { ApiError } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject } from './call.ts'
import { tokenOf } from './field-values.ts'
import { lineAndColumn, positionIn } from './json-position.ts'
import type { BadValueError } from './validate-record.ts'

/** Largest body, packed or not (facts 6). */
export const maxBodyBytes = 50 * 1024 * 1024

/**
 * Unpacks a body by its `Content-Encoding` (facts 5).
 * @throws {ApiError} 400 when it cannot be unpacked
 */
export function unpack(body: Buffer, encoding: string | undefined): string {
  if (!encoding || encoding === 'identity') return body.toString('utf8')
  const limit = { maxOutputLength: maxBodyBytes }
  try {
    if (encoding === 'gzip') return gunzipSync(body, limit).toString('utf8')
    // `deflate` means zlib's format, but some clients send the bare stream.
    if (encoding === 'deflate' && ((body[0] ?? 0) & 0x0f) === 8)
      return inflateSync(body, limit).toString('utf8')
    if (encoding === 'deflate') return inflateRawSync(body, limit).toString('utf8')
  } catch {
    throw new ApiError(400, 'INVALID_CONTENT_ENCODING', `the body is not ${encoding}`)
  }
  throw new ApiError(415, 'UNSUPPORTED_MEDIA_TYPE', `content encoding ${encoding} not supported`)
}

/**
 * Parses a JSON body; undefined for an empty one.
 * @throws {ApiError} 400 `JSON_PARSER_ERROR`
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    const detail = error instanceof Error ? error.message : ''
    const offset = Number(/position (\d+)/.exec(detail)?.[1] ?? text.length)
    const { line, column } = lineAndColumn(text, offset)
    throw parserError(`Unexpected character or end-of-input at [line:${line}, column:${column}]`)
  }
}

/** A refusal in the words of the platform's JSON parser. */
export const parserError = (message: string): ApiError => new ApiError(400, 'JSON_PARSER_ERROR', message)

/**
 * The body as a JSON object.
 * @throws {ApiError} 400 `JSON_PARSER_ERROR`
 */
export function objectBody(call: Call): JsonObject {
  if (call.body === undefined) throw parserError('No content to map to Object due to end of input')
  if (!isJsonObject(call.body)) {
    throw parserError(
      `Cannot deserialize instance of sobject from ${tokenOf(call.body)} at [line:1, column:1]`,
    )
  }
  return call.body
}

/** The refusal of a whole request for one value, naming its place in the body (facts 7). */
export function badValueRefusal(call: Call, error: BadValueError, recordPath: (string | number)[]): ApiError {
  const offset = positionIn(call.rawBody, [...call.bodyPath, ...recordPath, error.key])
  const { line, column } = lineAndColumn(call.rawBody, offset)
  return parserError(
    `Cannot deserialize instance of ${error.field.type} from ${tokenOf(error.raw)} or request may be missing ` +
      `a required field at [line:${line}, column:${column}]`,
  )
}
