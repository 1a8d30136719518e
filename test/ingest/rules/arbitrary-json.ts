import fc from 'fast-check'
import type { JsonObject } from '../../../src/ingest/rules/json-values.ts'

/** Names that mean something to JavaScript, to the platform or to the rules, among any others. */
export const anyName = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'Id',
    'id',
    'Name',
    'attributes',
    '',
    'a/b~c',
  ),
  fc.string(),
)

/** Objects as JSON.parse makes them: `__proto__` is an own member. */
export const anyRecord: fc.Arbitrary<JsonObject> = fc
  .array(fc.tuple(anyName, fc.jsonValue({ maxDepth: 3 })))
  .map((entries) => JSON.parse(JSON.stringify(Object.fromEntries(entries))) as JsonObject)

/** Any JSON at all. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(anyRecord, fc.jsonValue({ maxDepth: 4 }))

/** Compares where `toEqual` would look through `__proto__`; also holds the order of members. */
export const textOf = (value: unknown): string => JSON.stringify(value)
