import type { Input, Spec } from '../command.ts'
import type { Host } from '../process.ts'
import { groupOption, integrationOption, projectOption, serviceOptions } from '../target.ts'

export const spec: Spec = {
  name: 'write',
  usage: ['OBJECT RECORD', 'OBJECT [--file FILE] [--lines]', '[--file FILE]'],
  about: [
    'Writes a record: JSON given as an argument, in a file or on standard input. It is queued, and the id of its operation printed; --wait waits for its outcome and --sync sends it at once.',
    'An input with a record on each line (NDJSON) is many independent writes: they are queued a thousand at a time, those that are refused are named by their line, and a summary tells how many there were. A bad line leaves the others as they are. Without OBJECT each line is a whole write: {"objectName", "type", "record", …} as in the bulk call.',
    'Each write carries an idempotency key, so that none is made twice when an answer is lost; give --idempotency-key to repeat the same call by hand.',
  ],
  maxArguments: 2,
  options: {
    ...projectOption,
    ...integrationOption,
    ...groupOption,
    type: { value: 'TYPE', short: 't', help: 'create (default), update, upsert or delete' },
    'external-id': { value: 'FIELD', help: 'for upserts: the field whose value finds the record' },
    file: { value: 'FILE', short: 'f', help: 'holds the record or the lines; - is standard input' },
    lines: { help: 'each line is a record, even if there is only one' },
    delay: { value: 'SECONDS', help: 'leave after so long at the latest, to fill a group (default 0)' },
    reference: { value: 'TEXT', help: 'your own id of the write; it finds the operation again' },
    'idempotency-key': {
      value: 'KEY',
      help: 'names the write: the same again is not made again. Of lines, what their keys begin with',
    },
    sync: { help: 'send it at once; the answer is the outcome' },
    wait: { help: 'wait for the outcome, of lines for all of them' },
    timeout: { value: 'SECONDS', help: 'the longest that --wait and --sync take (default 60)' },
    ...serviceOptions,
  },
  examples: [
    ['Queue a create', `writeback write -p acme -i crm -g customer-42 Contact '{"LastName": "Ngata"}'`],
    [
      'Upsert and wait for the outcome',
      `writeback write -p acme -i crm -g customer-42 -t upsert --external-id Ext__c \\\n    --wait Contact '{"Ext__c": "17", "LastName": "Ngata"}'`,
    ],
    [
      'Many records, one on each line',
      'writeback write -p acme -i crm -g customer-42 --delay 5 Contact \\\n    < contacts.ndjson',
    ],
    [
      'The lines that were refused',
      `writeback write -p acme -i crm --json < writes.ndjson \\\n    | jq -c 'select(.problem)'`,
    ],
  ],
  exits: ['done', 'failed', 'usage', 'notWritten', 'inDoubt', 'waiting', 'refused', 'interrupted'],
}

/** What a call of the command asks for. */
export interface Given {
  project: string
  integration: string
  group: string | undefined
  /** Null when each line says it. */
  object: string | null
  type: string
  externalId: string | undefined
  /** A file, or `-` for standard input. */
  source: { text: string } | { file: string }
  isLines: boolean
  delaySeconds: number | undefined
  reference: string | undefined
  idempotencyKey: string | undefined
  mode: 'queue' | 'wait' | 'sync'
  timeoutMs: number
}

/** Reads the options; what is wrong with them is noted. */
export function readGiven(input: Input, { stdin }: Host): Given {
  const [object = null, record] = input.positionals
  const type = input.choice('type', ['create', 'update', 'upsert', 'delete'])
  const [file, externalId, reference] = [
    input.text('file'),
    input.text('external-id'),
    input.text('reference'),
  ]
  const isSync = input.flag('sync')
  const isLines = input.flag('lines') || object === null
  const group = object === null ? input.text('group') : input.required('group')
  checkSource(input, { record, file, isTyped: stdin.isTTY === true })
  checkKind(input, { object, type, externalId, isLines: input.flag('lines'), isSync })
  const key = input.text('idempotency-key')
  if (key !== undefined && !/^[\x21-\x7e]{1,200}$/.test(key))
    input.issue('--idempotency-key must be 1 to 200 visible ASCII characters')
  if (!isSync && !input.flag('wait') && input.text('timeout') !== undefined)
    input.issue('--timeout is for --wait and --sync')
  return {
    project: input.required('project'),
    integration: input.required('integration'),
    group,
    object,
    type: type ?? 'create',
    externalId,
    source: record === undefined || record === '-' ? { file: file ?? '-' } : { text: record },
    isLines,
    delaySeconds: input.number('delay', undefined, { min: 0, max: 86_400, isFraction: true }),
    reference,
    idempotencyKey: key,
    mode: isSync ? 'sync' : input.flag('wait') ? 'wait' : 'queue',
    timeoutMs: input.number('timeout', 60, { min: 1, max: 172_800, isFraction: true }) * 1000,
  }
}

function checkSource(
  input: Input,
  { record, file, isTyped }: { record: string | undefined; file: string | undefined; isTyped: boolean },
): void {
  if (record !== undefined && file !== undefined) input.issue('--file and a RECORD exclude each other')
  if ((record ?? file ?? '-') === '-' && isTyped)
    input.issue('RECORD is required: as an argument, with --file, or on standard input')
}

interface Kind {
  object: string | null
  type: string | undefined
  externalId: string | undefined
  isLines: boolean
  isSync: boolean
}

function checkKind(input: Input, { object, type, externalId, isLines, isSync }: Kind): void {
  if (type === 'upsert' && externalId === undefined) input.issue('--external-id is required for an upsert')
  if (type !== 'upsert' && externalId !== undefined) input.issue('--external-id is for --type upsert')
  if (isSync && input.text('delay') !== undefined) input.issue('--delay is not for --sync')
  if (isSync && isLines) input.issue('--sync is for one record, not for --lines')
  const isMany = isLines || object === null
  if (isMany && input.text('reference') !== undefined) input.issue('--reference is for one record')
  if (object !== null) return
  for (const name of ['type', 'delay', 'sync'])
    if (input.flag(name)) input.issue(`--${name} needs OBJECT: without it each line is a whole write`)
}
