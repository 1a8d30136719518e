import Type from 'typebox'

/** The process is up. */
export const Alive = Type.Object({ status: Type.Literal('ok') }, { title: 'Alive' })

/** The process can serve. */
export const Ready = Type.Object({ status: Type.Literal('ready') }, { title: 'Ready' })

/** Prometheus' text format. */
export const MetricsText = Type.String({ title: 'MetricsText', examples: ['up 1\n'] })
