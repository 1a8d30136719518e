import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/*
 * Every metric of the service's own, once: its name, what it says, its labels and its buckets. Labels are bounded:
 * each takes its values from a fixed list, but for the installations, of which the greatest few are named and the
 * others summed.
 */

/** Seconds of a request or a statement. */
const CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Seconds that a write may take from its acceptance to its outcome: what waits for a deadline takes up to a day. */
const OUTCOME_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400]
/** The contract allows one second (section 6.3). */
const LATE_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60]
const COMMIT_WRITES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000]
const GROUP_WRITES = [1, 2, 5, 10, 25, 50, 75, 99, 100]

/** The metrics of one process, registered in its own registry. */
export type Instruments = ReturnType<typeof createInstruments>

/** Makes every metric anew. */
export function createInstruments(registry: Registry) {
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name, help, labelNames, registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, buckets: number[], labelNames: L[] = []) =>
    new Histogram({ name, help, buckets, labelNames, registers })

  return {
    info: gauge('writeback_info', 'Always 1; the labels say what runs here.', ['version', 'role']),

    // The way in.
    accepted: counter(
      'writeback_writes_accepted_total',
      'Writes taken in: committed to the queue (asynchronous), or recorded and made at once (synchronous).',
      ['mode', 'type'],
    ),
    replayed: counter(
      'writeback_calls_replayed_total',
      'Calls that repeated an earlier one by its idempotency key.',
      ['mode'],
    ),
    problems: counter(
      'writeback_problems_total',
      'Calls, and writes of bulk calls, that were answered with a problem, by its code.',
      ['code'],
    ),
    commitWrites: histogram(
      'writeback_commit_writes',
      'Writes that shared one commit to the queue.',
      COMMIT_WRITES,
    ),
    commitSeconds: histogram(
      'writeback_commit_duration_seconds',
      'Time that a shared commit took.',
      CALL_SECONDS,
    ),
    commitFailures: counter(
      'writeback_commit_failures_total',
      'Shared commits that could not be made; their callers were told.',
    ),
    requests: counter('writeback_http_requests_total', 'Requests answered, by route and status.', [
      'method',
      'route',
      'status',
    ]),
    requestSeconds: histogram(
      'writeback_http_request_duration_seconds',
      'Time until a request was answered; a long-poll waits on purpose.',
      CALL_SECONDS,
      ['method', 'route'],
    ),

    // The queue, as the database has it: every process says the same.
    waiting: gauge(
      'writeback_waiting_writes',
      'Queued writes that were never sent, of the installations with the most; of the rest as "other".',
      ['installation'],
    ),
    oldestSeconds: gauge(
      'writeback_oldest_waiting_seconds',
      'Time since the oldest write that waits for its turn was accepted.',
      ['installation'],
    ),
    heldLanes: gauge('writeback_held_lanes', 'Lanes that are put off, by what keeps them from sending.', [
      'reason',
    ]),
    quotaCalls: gauge(
      'writeback_quota_left_calls',
      "API calls that the installation's org allows yet in its 24 hours, of the installations with the smallest part left.",
      ['installation'],
    ),
    quotaRatio: gauge(
      'writeback_quota_left_ratio',
      'The same as a part of what the org allows, from 0 to 1.',
      ['installation'],
    ),
    workersAlive: gauge('writeback_workers_alive', 'Processes that send what waits and were seen lately.'),
    databaseUp: gauge('writeback_database_up', '1 when the last look at the database was answered, else 0.'),

    // The way out.
    groupWrites: histogram(
      'writeback_group_writes',
      'Writes of a group that was sent, by why it left.',
      GROUP_WRITES,
      ['trigger'],
    ),
    groupLateSeconds: histogram(
      'writeback_group_lateness_seconds',
      'Time by which a group left after its deadline.',
      LATE_SECONDS,
    ),
    writesSent: counter('writeback_writes_sent_total', 'Writes sent, each time that they were.'),
    callsSaved: counter(
      'writeback_api_calls_saved_total',
      'Writes sent less the API calls that they took: what grouping saved.',
    ),
    providerCalls: counter(
      'writeback_provider_calls_total',
      'Requests to the provider, by what for and class of status; "none" is one without a usable answer.',
      ['operation', 'status'],
    ),
    providerSeconds: histogram(
      'writeback_provider_call_duration_seconds',
      'Time until the provider had answered.',
      CALL_SECONDS,
      ['operation'],
    ),

    // What became of it.
    ended: counter(
      'writeback_writes_ended_total',
      'Writes that reached their outcome, by class of the code for those that failed.',
      ['outcome', 'class'],
    ),
    outcomeSeconds: histogram(
      'writeback_outcome_duration_seconds',
      'Time from the acceptance of an operation to its outcome.',
      OUTCOME_SECONDS,
    ),
    retries: counter('writeback_retries_total', 'Writes that are to be sent again after a try.'),
    deferred: counter(
      'writeback_deferred_total',
      'Writes that a limit of the org turned away: sent again, no attempt spent.',
    ),
    rescues: counter(
      'writeback_lease_rescues_total',
      'Groups taken from a process that gave no sign of life; "started" says whether their call may have gone out.',
      ['started'],
    ),

    // What is told of it.
    deliveries: counter(
      'writeback_deliveries_total',
      'Attempts to deliver a notification, by what came of them.',
      ['result'],
    ),
    deliverySeconds: histogram(
      'writeback_delivery_duration_seconds',
      'Time until a receiver had answered, or was waited for no longer.',
      CALL_SECONDS,
    ),
    deliveriesGivenUp: counter(
      'writeback_deliveries_given_up_total',
      'Notifications that were given up after a day of attempts.',
    ),
    destinationsOff: counter(
      'writeback_destinations_switched_off_total',
      'Destinations that were switched off for what their receivers did.',
      ['reason'],
    ),
    outbox: gauge(
      'writeback_outbox_notifications',
      'Notifications that wait to be sent, for the first time or again; of each no more than 50,000 are counted.',
      ['state'],
    ),
    outboxOldestSeconds: gauge(
      'writeback_outbox_oldest_seconds',
      'Time since the oldest notification that was never sent should have left.',
    ),
    failingDestinations: gauge(
      'writeback_failing_destinations',
      'Destinations that are switched on and whose last attempt failed.',
    ),

    // This process.
    lanesInWork: gauge('writeback_lanes_in_work', 'Lanes being worked on by this process.'),
    commitsPending: gauge('writeback_commits_pending', 'Calls that wait for their commit in this process.'),
    synchronousCalls: gauge('writeback_synchronous_calls', 'Synchronous calls under way in this process.'),
    deliveriesUnderWay: gauge('writeback_deliveries_under_way', 'Notifications being sent by this process.'),
    openWaits: gauge(
      'writeback_open_waits',
      'Long-polls and other waits for outcomes held open by this process.',
    ),
  }
}
