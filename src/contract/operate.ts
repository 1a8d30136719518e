import Type, { type Static } from 'typebox'

/** What somebody found out of an operation in doubt (contract section 7). */
export const Resolution = Type.Object(
  {
    success: Type.Boolean({ description: 'Whether the record is there as the write asked for it.' }),
    recordId: Type.Optional(
      Type.String({
        maxLength: 18,
        description:
          "The provider's id of the record, 15 or 18 characters; only with `success: true`, and only where one record is in doubt.",
        examples: ['003RM000006EncrYAC'],
      }),
    ),
  },
  {
    additionalProperties: false,
    title: 'Resolution',
    examples: [{ success: true, recordId: '003RM000006EncrYAC' }, { success: false }],
  },
)
export type Resolution = Static<typeof Resolution>

export const PromoteHeaders = Type.Object({
  'request-timeout': Type.Optional(
    Type.String({
      description: 'Seconds that the call may take, 1 to 600, fractions allowed; 30 when absent.',
      examples: ['30'],
    }),
  ),
})
