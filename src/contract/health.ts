import Type from 'typebox'

/** The process is up. */
export const Alive = Type.Object({ status: Type.Literal('ok') }, { title: 'Alive' })

/** The process can serve; whether queued writes are sent is told by the workers. */
export const Ready = Type.Object(
  {
    status: Type.Literal('ready'),
    migrations: Type.Literal('applied', { description: 'The database has all that this release needs.' }),
    workers: Type.Object(
      {
        status: Type.Enum(['seen', 'missing'], {
          description:
            'Whether any process that sends queued writes was seen lately. While it is `missing`, writes are accepted and wait; synchronous calls go through.',
        }),
        alive: Type.Integer({ minimum: 0, description: 'How many were seen lately.' }),
        lastSeenTime: Type.Optional(
          Type.String({ format: 'date-time', description: 'When any was seen last, within a day.' }),
        ),
      },
      { title: 'WorkersSeen' },
    ),
  },
  { title: 'Ready' },
)

/** Prometheus' text format. */
export const MetricsText = Type.String({ title: 'MetricsText', examples: ['up 1\n'] })
