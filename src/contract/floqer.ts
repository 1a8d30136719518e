import Type, { type Static } from 'typebox'
import { GroupRef } from './fields.ts'
import { WriteRequest } from './write.ts'

/*
 * Floqer's upsert (contract section 8).
 */

const exact = { additionalProperties: false }

const OnOrOff = (isOn: boolean, description: string) =>
  Type.Optional(
    Type.Unsafe<boolean | string>({
      type: ['boolean', 'string'],
      default: isOn,
      description: `${description} \`true\` or \`false\`, or one of the words \`true\`, \`false\`, \`on\`, \`off\` in any letter case.`,
    }),
  )

const FieldValue = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 255,
      description: "The field's API name, or the name that the installation maps to it.",
      examples: ['Website'],
    }),
    value: Type.Unknown({
      description: 'The value; in texts, `{{ref}}` stands for the value of that name in `variables`.',
      examples: ['{{input.domain}}'],
    }),
  },
  { ...exact, title: 'FloqerField' },
)

const Inputs = Type.Object(
  {
    salesforce_object: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The object, by its own name or by that which the installation maps to it.',
      examples: ['Account'],
    }),
    salesforce_external_id_field: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The external-id field by which the record is found. Its value is one of the fields.',
      examples: ['Domain__c'],
    }),
    add_fields_and_their_values: Type.Array(FieldValue, {
      minItems: 1,
      maxItems: 1_000,
      description: 'The fields of the record, each once.',
    }),
    force_update_on_collision: OnOrOff(
      false,
      'Whether the one record that a duplicate rule finds is updated instead.',
    ),
    ignore_empty_values: OnOrOff(true, 'Whether empty values leave the org’s as they are.'),
    run_salesforce_assignment_rules: OnOrOff(true, 'Whether assignment rules run.'),
  },
  { ...exact, title: 'FloqerInputs' },
)

const { mode, variables, reference, autoBatchPolicy, retryPolicy } = WriteRequest.properties

/** `/actions/salesforce_upsert_record`. */
export const FloqerUpsert = Type.Object(
  { groupRef: GroupRef, inputs: Inputs, mode, variables, reference, autoBatchPolicy, retryPolicy },
  {
    ...exact,
    title: 'FloqerUpsert',
    examples: [
      {
        groupRef: 'customer-42',
        inputs: {
          salesforce_object: 'Account',
          salesforce_external_id_field: 'Domain__c',
          add_fields_and_their_values: [
            { name: 'Domain__c', value: '{{input.domain}}' },
            { name: 'Name', value: '{{input.company_name}}' },
            { name: 'Website', value: '{{input.domain}}' },
          ],
          force_update_on_collision: false,
          ignore_empty_values: true,
          run_salesforce_assignment_rules: true,
        },
        variables: { input: { company_name: 'Acme', domain: 'acme.example' } },
      },
    ],
  },
)
export type FloqerUpsert = Static<typeof FloqerUpsert>

/** A record that was upserted. */
export const FloqerUpserted = Type.Object(
  {
    record_id: Type.String({ description: 'The record, 18 characters.', examples: ['001RM000006EncrYAC'] }),
    operation_type: Type.Unsafe<'Insert' | 'Update'>({
      type: 'string',
      enum: ['Insert', 'Update'],
      description: 'What was done.',
    }),
    account_url: Type.Union([Type.String(), Type.Null()], {
      description:
        'The record’s page on the org’s instance. Null where the instance was not known when the call was answered.',
      examples: ['https://test.my.salesforce.com/001RM000006EncrYAC'],
    }),
  },
  { ...exact, title: 'FloqerUpserted', description: 'The record was written.' },
)
export type FloqerUpserted = Static<typeof FloqerUpserted>
