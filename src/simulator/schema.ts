/** A value as the org keeps it: dates and date-times as texts, references as 18-character ids. */
export type FieldValue = string | number | boolean | null

/** Salesforce field types that the simulator knows (facts 9). */
export type FieldType =
  | 'id'
  | 'string'
  | 'textarea'
  | 'email'
  | 'phone'
  | 'url'
  | 'picklist'
  | 'boolean'
  | 'int'
  | 'double'
  | 'currency'
  | 'percent'
  | 'date'
  | 'datetime'
  | 'reference'

/** One field of an object, with the properties that its describe shows (facts 9). */
export interface FieldDefinition {
  name: string
  label: string
  type: FieldType
  length: number
  precision: number
  scale: number
  custom: boolean
  externalId: boolean
  idLookup: boolean
  unique: boolean
  caseSensitive: boolean
  createable: boolean
  updateable: boolean
  nillable: boolean
  defaultedOnCreate: boolean
  calculated: boolean
  autoNumber: boolean
  referenceTo: string[]
  relationshipName: string | null
  picklistValues: string[]
  restrictedPicklist: boolean
  defaultValue: FieldValue
}

/** What a field definition may leave out. */
export type FieldInput = Pick<FieldDefinition, 'name' | 'type'> & Partial<FieldDefinition>

/** The values of a record by field name; a field that is not there is null. */
export type FieldValues = Record<string, FieldValue>

/** A validation rule of the admin: `fails` sees the values as they would be saved. */
export interface ValidationRule {
  message: string
  field?: string
  fails: (values: FieldValues) => boolean
}

/** What a new object needs. */
export interface ObjectInput {
  name: string
  label?: string
  labelPlural?: string
  /** Three characters; chosen from a01 on when left out. */
  keyPrefix?: string
  fields: FieldInput[]
  validationRules?: ValidationRule[]
  /** False for objects that only the org itself writes, such as User. */
  writable?: boolean
  /** Values that follow from others, such as a person's Name; worked out when a record is read. */
  derived?: Record<string, (values: FieldValues) => FieldValue>
}

/** An object with the look-ups that writing a record needs. */
export interface ObjectDefinition {
  name: string
  label: string
  labelPlural: string
  keyPrefix: string
  custom: boolean
  writable: boolean
  fields: FieldDefinition[]
  /** By exact and by lower-case name: field names match in any case, and most callers use the exact one. */
  fieldsByName: Map<string, FieldDefinition>
  /** By lower-case relationship name. */
  fieldsByRelationship: Map<string, FieldDefinition>
  requiredOnCreate: FieldDefinition[]
  defaultedFields: FieldDefinition[]
  indexedFields: FieldDefinition[]
  validationRules: ValidationRule[]
  derived: Record<string, (values: FieldValues) => FieldValue>
}

const defaultLengths: Partial<Record<FieldType, number>> = {
  id: 18,
  string: 255,
  textarea: 255,
  email: 80,
  phone: 40,
  url: 255,
  picklist: 255,
  reference: 18,
}

/** Fills in what a field leaves out, as Salesforce's describe would show it. */
export function completeField(input: FieldInput): FieldDefinition {
  const numeric = ['int', 'double', 'currency', 'percent'].includes(input.type)
  const precision = numeric ? (input.type === 'int' ? 9 : 18) : 0
  return {
    label: labelOf(input.name),
    length: defaultLengths[input.type] ?? 0,
    precision,
    scale: input.type === 'currency' ? 2 : 0,
    custom: input.name.endsWith('__c'),
    externalId: false,
    idLookup: input.externalId ?? false,
    unique: false,
    caseSensitive: false,
    createable: true,
    updateable: true,
    // A checkbox is never null: it starts as false.
    nillable: input.type !== 'boolean',
    defaultedOnCreate: input.type === 'boolean' || input.defaultValue !== undefined,
    calculated: false,
    autoNumber: false,
    referenceTo: [],
    relationshipName: input.type === 'reference' ? relationshipOf(input.name) : null,
    picklistValues: [],
    restrictedPicklist: false,
    defaultValue: input.type === 'boolean' ? false : null,
    ...input,
  }
}

const labelOf = (name: string): string =>
  name
    .replace(/__c$/, '')
    .replace(/(?<=[A-Za-z])Id$/, ' ID')
    .replaceAll('_', ' ')
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')

const relationshipOf = (name: string): string =>
  name.endsWith('__c') ? name.replace(/__c$/, '__r') : name.replace(/Id$/, '')

/** Whether a field's values are kept in an index: everything that a record can be found by. */
const isIndexed = (field: FieldDefinition): boolean =>
  field.type !== 'id' && (field.unique || field.externalId || field.idLookup)

/** Builds an object with its look-ups. The fields every object has come first. */
export function buildObject(input: ObjectInput, keyPrefix: string): ObjectDefinition {
  const fields = [...systemFields(), ...input.fields.map(completeField)]
  const label = input.label ?? labelOf(input.name)
  const object: ObjectDefinition = {
    name: input.name,
    label,
    labelPlural: input.labelPlural ?? `${label}s`,
    keyPrefix,
    custom: input.name.endsWith('__c'),
    writable: input.writable ?? true,
    fields,
    fieldsByName: new Map(
      fields.flatMap((field) => [field.name, field.name.toLowerCase()].map((key) => [key, field])),
    ),
    fieldsByRelationship: new Map(),
    requiredOnCreate: fields.filter((f) => f.createable && !f.nillable && !f.defaultedOnCreate),
    defaultedFields: fields.filter(
      (f) =>
        f.defaultedOnCreate && f.defaultValue !== null && f.name !== 'IsDeleted' && !input.derived?.[f.name],
    ),
    indexedFields: fields.filter(isIndexed),
    validationRules: input.validationRules ?? [],
    derived: input.derived ?? {},
  }
  for (const field of fields) {
    if (field.relationshipName) object.fieldsByRelationship.set(field.relationshipName.toLowerCase(), field)
  }
  return object
}

/** The field of any spelling, or undefined. */
export const findField = (object: ObjectDefinition, name: string): FieldDefinition | undefined =>
  object.fieldsByName.get(name) ?? object.fieldsByName.get(name.toLowerCase())

function systemFields(): FieldDefinition[] {
  const system = { createable: false, updateable: false, nillable: false, defaultedOnCreate: true } as const
  return [
    completeField({ name: 'Id', label: 'Record ID', type: 'id', idLookup: true, ...system }),
    completeField({ name: 'IsDeleted', label: 'Deleted', type: 'boolean', ...system }),
    completeField({ name: 'CreatedDate', type: 'datetime', ...system }),
    completeField({ name: 'CreatedById', type: 'reference', referenceTo: ['User'], ...system }),
    completeField({ name: 'LastModifiedDate', type: 'datetime', ...system }),
    completeField({ name: 'LastModifiedById', type: 'reference', referenceTo: ['User'], ...system }),
    completeField({ name: 'SystemModstamp', type: 'datetime', ...system }),
  ]
}
