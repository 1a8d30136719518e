import Type, { type Static } from 'typebox'
import { Id, ProjectPath, Time } from './fields.ts'

const timeOrNull = (description: string) => Type.Union([Type.String({ ...Time, description }), Type.Null()])

/** What waits to leave together (contract section 7). */
export const Lane = Type.Object(
  {
    id: Id,
    objectName: Type.String({ description: "The provider's name of the object.", examples: ['Contact'] }),
    type: Type.Unsafe<'create' | 'update' | 'upsert' | 'delete'>({
      type: 'string',
      enum: ['create', 'update', 'upsert', 'delete'],
    }),
    externalIdField: Type.Optional(Type.String({ description: 'For upserts: the field that matches.' })),
    allOrNone: Type.Boolean(),
    waiting: Type.Integer({
      description:
        'Queued writes in it, those that wait for another try included as far as 1,000 wait. Those behind an earlier write to their record are not counted: they join once that one has ended.',
    }),
    oldestTime: timeOrNull(
      'When the oldest of the 1,000 that are next was accepted; null when nothing waits.',
    ),
    dueTime: timeOrNull('When it leaves or is looked at next at the latest; null when nothing waits.'),
    heldBy: Type.Optional(
      Type.Unsafe<string>({
        type: 'string',
        enum: ['connection', 'session', 'quota', 'limit', 'concurrency', 'parent'],
        description:
          "Why it has not left although it was due: `connection`: the connection is broken and waits for new credentials; `session`: the login host gave none, for a fault that passes; `quota`: the installation's share of the org's daily calls is used up; `limit`: a limit of the org that passes; `concurrency`: as many calls are in flight as may be; `parent`: another call holds the parent of its records. Absent when nothing holds it.",
      }),
    ),
  },
  { title: 'Lane' },
)
export type Lane = Static<typeof Lane>

export const LanePath = Type.Interface([ProjectPath], {
  lane: Type.String({ description: 'Id of the lane.' }),
})
