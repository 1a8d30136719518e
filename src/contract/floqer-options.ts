import Type, { type Static } from 'typebox'
import { GroupRef } from './fields.ts'

/*
 * Floqer's lists of options (contract section 8): what its form for an upsert offers.
 */

const exact = { additionalProperties: false }

/** `/options/salesforce_object`: no context is needed for it. */
export const ObjectOptionsRequest = Type.Object(
  {
    groupRef: GroupRef,
    context: Type.Optional(Type.Object({}, { ...exact, description: 'Nothing is needed.' })),
  },
  { ...exact, title: 'ObjectOptionsRequest', examples: [{ groupRef: 'customer-42' }] },
)

/** The other lists: of one object. */
export const FieldOptionsRequest = Type.Object(
  {
    groupRef: GroupRef,
    context: Type.Object(
      {
        salesforce_object: Type.String({
          minLength: 1,
          maxLength: 255,
          description: 'The object, as the list of objects names it.',
          examples: ['Account'],
        }),
      },
      { ...exact, description: 'What was chosen already.' },
    ),
  },
  {
    ...exact,
    title: 'FieldOptionsRequest',
    examples: [{ groupRef: 'customer-42', context: { salesforce_object: 'Account' } }],
  },
)
export type FieldOptionsRequest = Static<typeof FieldOptionsRequest>

/** What can be chosen. */
export const OptionsAnswer = Type.Object(
  {
    options: Type.Array(
      Type.Object({
        label: Type.String({ description: 'What people see.', examples: ['Account Name'] }),
        value: Type.String({ description: 'The API name.', examples: ['Name'] }),
      }),
      {
        description: 'By label, in alphabetical order.',
        examples: [[{ label: 'Account', value: 'Account' }]],
      },
    ),
  },
  { title: 'OptionsAnswer' },
)
export type OptionsAnswer = Static<typeof OptionsAnswer>
