import Type, { type Static } from 'typebox'
import { GroupRef } from './fields.ts'
import { WriteRequest } from './write.ts'

/*
 * The actions of Callers that write (contract section 8). What their names stand for is a write of the
 * write call; what they have in common with it is taken from it.
 */

/** The most records of one bulk action. */
export const MAX_RECORDS = 2_000

const RECORD_ID = '003RM000006EncrYAC'

const ObjectName = Type.String({
  minLength: 1,
  maxLength: 255,
  description: 'The object, by its own name or by that which the installation maps to it.',
  examples: ['Contact'],
})

const Data = Type.Unsafe<Record<string, unknown> | string>({
  type: ['object', 'string'],
  description: 'Values by field name, as an object or as the JSON text of one.',
  examples: [{ LastName: '{{ lastName }}', FirstName: '{{ firstName }}', Email: '{{ email }}' }],
})

const Records = Type.Unsafe<Record<string, unknown>[] | string>({
  type: ['array', 'string'],
  items: { type: 'object', additionalProperties: true },
  minItems: 1,
  maxItems: MAX_RECORDS,
  description: `Up to ${MAX_RECORDS.toLocaleString('en')} records, as a list or as the JSON text of one. They are one operation, and no record may be named twice.`,
  examples: [[{ LastName: 'Ngata' }, { LastName: 'Moana' }]],
})

const { mode, variables, reference, autoBatchPolicy, retryPolicy } = WriteRequest.properties

/** What every action takes beside its own fields. */
const common = { groupRef: GroupRef, mode, variables, reference, retryPolicy }
const single = { ...common, autoBatchPolicy }

const sample = { groupRef: 'customer-42', object: 'Contact' }
const exact = { additionalProperties: false }

/** `/actions/create-object`. */
export const CreateObject = Type.Object(
  { object: ObjectName, data: Data, ...single },
  {
    ...exact,
    title: 'CreateObject',
    examples: [
      {
        ...sample,
        data: { LastName: '{{ lastName }}', Email: '{{ email }}' },
        variables: { lastName: 'Ngata', email: 'ngata@example.com' },
      },
    ],
  },
)

/** `/actions/update-object`. */
export const UpdateObject = Type.Object(
  {
    object: ObjectName,
    id: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The record, 15 or 18 characters.',
      examples: [RECORD_ID],
    }),
    data: Data,
    ...single,
  },
  {
    ...exact,
    title: 'UpdateObject',
    examples: [{ ...sample, id: RECORD_ID, data: { Title: 'CTO' } }],
  },
)

/** `/actions/upsert`. */
export const UpsertObject = Type.Object(
  {
    object: ObjectName,
    externalIdField: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The field whose value in `data` names the record.',
      examples: ['External_Id__c'],
    }),
    data: Data,
    ...single,
  },
  {
    ...exact,
    title: 'UpsertObject',
    examples: [
      { ...sample, externalIdField: 'External_Id__c', data: { External_Id__c: 'k-1', LastName: 'Ngata' } },
    ],
  },
)

const AllOrNone = Type.Optional(
  Type.Boolean({
    default: false,
    description: 'One failing record undoes all of them; for 200 records at most, which is one transaction.',
  }),
)

/** `/actions/bulk-create`. */
export const BulkCreate = Type.Object(
  { object: ObjectName, records: Records, allOrNone: AllOrNone, ...common },
  {
    ...exact,
    title: 'BulkCreate',
    examples: [{ ...sample, records: [{ LastName: 'Ngata' }, { LastName: 'Moana' }] }],
  },
)

/** `/actions/bulk-update`. */
export const BulkUpdate = Type.Object(
  { object: ObjectName, records: Records, allOrNone: AllOrNone, ...common },
  {
    ...exact,
    title: 'BulkUpdate',
    description: 'Each record names itself by `id` or `Id`.',
    examples: [{ ...sample, records: [{ Id: RECORD_ID, Title: 'CTO' }] }],
  },
)

/** A body of any of the actions. */
export type CallersWrite = Static<typeof CreateObject> &
  Partial<Pick<Static<typeof UpdateObject>, 'id'>> &
  Partial<Pick<Static<typeof UpsertObject>, 'externalIdField'>> &
  Partial<Pick<Static<typeof BulkCreate>, 'records' | 'allOrNone'>>
