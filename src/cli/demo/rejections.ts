import type { DemoObject, Values } from './records.ts'

/** One way to make the org reject a write. */
export interface Rejection {
  /** The provider's code that the write must end with. */
  code: string
  /** Where it can be tried. */
  fits: (object: DemoObject, type: 'create' | 'update' | 'upsert') => boolean
  /** What goes over the record that was fine. */
  spoil: (object: DemoObject) => Values
  /** Whether the update names a record that the org does not have. */
  nobody?: true
}

const anywhere = (): boolean => true

const nameField: Record<DemoObject, { field: string; length: number }> = {
  Account: { field: 'Name', length: 255 },
  Contact: { field: 'LastName', length: 80 },
  Opportunity: { field: 'Name', length: 120 },
}

/** The value of a unique field that a record of each object holds already. */
export const uniqueField = 'Write_Id__c'
export const takenValue = (object: DemoObject): string => `taken-${object}`

/** Every kind of rejection that the demo provokes. */
export const rejections: readonly Rejection[] = [
  {
    code: 'REQUIRED_FIELD_MISSING',
    fits: anywhere,
    spoil: (object) => ({ [nameField[object].field]: null }),
  },
  {
    code: 'INVALID_EMAIL_ADDRESS',
    fits: (object) => object === 'Contact',
    spoil: () => ({ Email: 'nobody at example' }),
  },
  {
    code: 'STRING_TOO_LONG',
    fits: anywhere,
    spoil: (object) => ({ [nameField[object].field]: 'x'.repeat(nameField[object].length + 1) }),
  },
  {
    code: 'INVALID_FIELD',
    fits: anywhere,
    spoil: () => ({ Favourite_Colour__c: 'green' }),
  },
  {
    code: 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST',
    fits: (object) => object !== 'Contact',
    spoil: (object) => (object === 'Account' ? { Industry: 'Alchemy' } : { StageName: 'Wishful Thinking' }),
  },
  {
    code: 'DUPLICATE_VALUE',
    // An upsert that clashes is sent once more: it may have raced with another one for a new key.
    fits: (_object, type) => type !== 'upsert',
    spoil: (object) => ({ [uniqueField]: takenValue(object) }),
  },
  {
    code: 'FIELD_CUSTOM_VALIDATION_EXCEPTION',
    fits: anywhere,
    spoil: () => ({ Score__c: -1 }),
  },
  {
    code: 'INVALID_TYPE_ON_FIELD_IN_RECORD',
    fits: anywhere,
    spoil: () => ({ Score__c: 'high' }),
  },
  {
    code: 'INVALID_CROSS_REFERENCE_KEY',
    fits: (_object, type) => type === 'update',
    spoil: () => ({}),
    nobody: true,
  },
]
