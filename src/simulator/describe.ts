import { ApiError } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'
import type { Org } from './org.ts'
import type { FieldDefinition, FieldType, ObjectDefinition } from './schema.ts'
import { tableOf } from './single-records.ts'

/** `GET /sobjects` (facts 9). */
export function describeGlobal(org: Org, call: Call): Answer {
  const unchanged = notModified(org, call)
  if (unchanged) return unchanged
  const sobjects = org.objects.map((object) => summaryOf(object, call.version))
  return withDate(org, { encoding: 'UTF-8', maxBatchSize: 200, sobjects })
}

/** `GET /sobjects/{X}/describe` (facts 9). */
export function describeObject(org: Org, call: Call): Answer {
  const { object } = tableOf(org, call)
  const unchanged = notModified(org, call)
  if (unchanged) return unchanged
  return withDate(org, {
    ...summaryOf(object, call.version),
    fields: object.fields.map(describeField),
    recordTypeInfos: [
      {
        active: true,
        available: true,
        defaultRecordTypeMapping: true,
        developerName: 'Master',
        master: true,
        name: 'Master',
        recordTypeId: '012000000000000AAA',
      },
    ],
    childRelationships: childrenOf(org, object),
  })
}

function summaryOf(object: ObjectDefinition, version: number): Record<string, unknown> {
  const { name, label, labelPlural, keyPrefix, custom, writable } = object
  const base = `/services/data/v${version}.0/sobjects/${name}`
  return {
    name,
    label,
    labelPlural,
    keyPrefix,
    custom,
    createable: writable,
    updateable: writable,
    deletable: writable,
    undeletable: writable,
    queryable: true,
    retrieveable: true,
    urls: { sobject: base, describe: `${base}/describe`, rowTemplate: `${base}/{ID}` },
  }
}

const soapTypes: Partial<Record<FieldType, string>> = {
  id: 'tns:ID',
  reference: 'tns:ID',
  boolean: 'xsd:boolean',
  int: 'xsd:int',
  double: 'xsd:double',
  currency: 'xsd:double',
  percent: 'xsd:double',
  date: 'xsd:date',
  datetime: 'xsd:dateTime',
}

function describeField(field: FieldDefinition): Record<string, unknown> {
  const { defaultValue, picklistValues, ...shown } = field
  return {
    ...shown,
    defaultValue,
    picklistValues: picklistValues.map((value) => ({
      value,
      label: value,
      active: true,
      defaultValue: value === defaultValue,
      validFor: null,
    })),
    dependentPicklist: false,
    controllerName: null,
    soapType: soapTypes[field.type] ?? 'xsd:string',
  }
}

function childrenOf(org: Org, parent: ObjectDefinition): Record<string, unknown>[] {
  return org.objects.flatMap((child) =>
    child.fields
      .filter((field) => field.referenceTo.includes(parent.name))
      .map((field) => ({
        childSObject: child.name,
        field: field.name,
        relationshipName: null,
        cascadeDelete: false,
      })),
  )
}

/** 304 for a caller who has seen the present schema; HTTP dates have whole seconds only. */
function notModified(org: Org, call: Call): Answer | undefined {
  const header = call.header('if-modified-since')
  if (header === undefined) return undefined
  const since = Date.parse(header)
  if (Number.isNaN(since))
    throw new ApiError(400, 'INVALID_HEADER', `Invalid date in If-Modified-Since: ${header}`)
  return since >= wholeSeconds(org.schemaChangedAt) ? { status: 304 } : undefined
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000

const withDate = (org: Org, body: unknown): Answer => ({
  status: 200,
  body,
  headers: { 'Last-Modified': new Date(org.schemaChangedAt).toUTCString() },
})
