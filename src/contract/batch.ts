import Type, { type Static } from 'typebox'
import { Id, ProjectPath, Time } from './fields.ts'

const orNull = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>>(schema: T) =>
  Type.Union([schema, Type.Null()])

/** One group as it was sent (contract section 7). */
export const Batch = Type.Object(
  {
    id: Id,
    callId: Type.Unsafe<string>({
      ...Id,
      description: 'The provider call that carried it: groups packed into one call share it.',
    }),
    members: Type.Array(
      Type.Object({
        operationId: Id,
        index: Type.Integer({ description: 'Place in the group, from 0.' }),
      }),
      { description: 'In the order of the request; what was merged into one of them stands at the end.' },
    ),
    size: Type.Integer({ description: 'The number of members.' }),
    allOrNone: Type.Boolean(),
    attempt: Type.Integer({
      description: 'The how-manieth try it was, for the member that had been tried most.',
    }),
    startTime: orNull(
      Type.String({ ...Time, description: 'When its call went out; null before, and if none ever did.' }),
    ),
    endTime: orNull(Type.String({ ...Time, description: 'Null while it is being sent.' })),
    providerStatus: orNull(
      Type.Integer({ description: "The provider's HTTP status; null without an answer." }),
    ),
    successCount: orNull(Type.Integer({ description: 'Null while it is being sent.' })),
    failureCount: orNull(
      Type.Integer({
        description: 'Members that were not written by it, those that are sent again included.',
      }),
    ),
  },
  { title: 'Batch' },
)
export type Batch = Static<typeof Batch>

export const BatchPath = Type.Interface([ProjectPath], {
  batch: Type.String({ description: 'Id of the group.' }),
})
