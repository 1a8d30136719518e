import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/log.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { createInstruments, type Instruments } from './instruments.ts'
import { createQueueGauges, type QueuePort } from './queue-gauges.ts'
import { createSubscriber } from './subscriber.ts'

/** What a process has under way, as its parts say when they are asked. */
export interface ProcessGauges {
  lanesInWork?: () => number
  commitsPending?: () => number
  synchronousCalls?: () => number
  openWaits?: () => number
  deliveriesUnderWay?: () => number
}

/** Options of {@link createMetrics}. */
export interface MetricsOptions {
  version: string
  role: string
  clock: Clock
  logger: Logger
  queue: QueuePort
}

/** The metrics of one process. */
export interface Metrics {
  /** What the floors are given to tell of their work. */
  telemetry: Telemetry
  /** Names the parts that are asked at each scrape; those of a role that does not run here stay 0. */
  watch: (gauges: ProcessGauges) => void
  /** All of them in Prometheus' text format, within about a second whatever the database does. */
  text: () => Promise<string>
  /** What there is, for documents to be checked against. */
  describe: () => Description[]
}

/** One metric, as its documentation tells of it. */
export interface Description {
  name: string
  type: string
  help: string
  labels: string[]
}

/** What alerts look at has a value before the first time, so that the first time is a rise. */
function beginAtZero({ ended, rescues, deliveries, destinationsOff }: Instruments): void {
  for (const outcome of ['succeeded', 'in_doubt']) ended.inc({ outcome, class: 'none' }, 0)
  for (const started of ['true', 'false']) rescues.inc({ started }, 0)
  for (const result of ['delivered', 'refused', 'unanswered']) deliveries.inc({ result }, 0)
  for (const reason of ['failing', 'receiver_gone']) destinationsOff.inc({ reason }, 0)
}

/** Makes the metrics of one process, in a registry of its own: several may run in one Node process. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { version, role, clock, logger, queue } = options
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const instruments = createInstruments(registry)
  instruments.info.set({ version, role }, 1)
  beginAtZero(instruments)
  const refresh = createQueueGauges({ instruments, port: queue, clock, logger })
  let watched: ProcessGauges = {}
  return {
    telemetry: createSubscriber(instruments, () => clock.now()),
    watch: (gauges) => {
      watched = { ...watched, ...gauges }
    },
    text: async () => {
      await refresh()
      for (const [name, value] of Object.entries(watched) as [keyof ProcessGauges, () => number][])
        instruments[name].set(value())
      return registry.metrics()
    },
    describe: () =>
      registry.getMetricsAsArray().map((metric) => {
        const { name, type, help } = metric
        const { labelNames = [] } = metric as { labelNames?: string[] }
        return { name, type: String(type), help, labels: [...labelNames] }
      }),
  }
}
