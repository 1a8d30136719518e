import type { Lane } from '../contract/lane.ts'
import { path } from './api.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { findInstallations, type Place } from './installations.ts'
import { lanesOf } from './lanes.ts'
import { serviceCommand, type Session } from './run-command.ts'
import { groupOption, integrationOption, projectOption, serviceOptions } from './target.ts'
import { counted } from './text.ts'

export const spec: Spec = {
  name: 'flush',
  usage: ['LANE...', '--group GROUP [--object OBJECT] [--type TYPE]', '--all [--object OBJECT]'],
  about: [
    'Sends what waits in lanes now, without waiting for their delays. What holds a lane (a broken connection, a limit of the org) still does, and what waits for another try leaves at its own time.',
  ],
  maxArguments: 1_000,
  options: {
    ...projectOption,
    ...integrationOption,
    ...groupOption,
    all: { help: 'the lanes of every customer of the integration' },
    object: { value: 'OBJECT', help: 'only lanes of this object' },
    type: { value: 'TYPE', help: 'only lanes of create, update, upsert or delete' },
    ...serviceOptions,
  },
  examples: [
    ['Everything of one customer', 'writeback flush -p acme -i crm -g customer-42'],
    ['One lane', 'writeback flush -p acme 0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11'],
  ],
  exits: ['done', 'failed', 'usage', 'refused'],
}

interface Given {
  project: string
  ids: string[]
  /** Where to look for lanes; null when they are named. */
  place: Place | null
  object: string | undefined
  type: string | undefined
}

/** `writeback flush` */
export const { run } = serviceCommand(
  spec,
  (input): Given => {
    const ids = input.positionals
    const [group, isAll] = [input.text('group'), input.flag('all')]
    const project = input.required('project')
    const [object, type] = [
      input.text('object'),
      input.choice('type', ['create', 'update', 'upsert', 'delete']),
    ]
    if (ids.length > 0) {
      if (isAll) input.issue('--all and lanes by their ids exclude each other')
      if (object !== undefined || type !== undefined)
        input.issue('--object and --type are for --group and --all, not for lanes by their ids')
      return { project, ids, place: null, object, type }
    }
    if (group === undefined && !isAll) input.issue('name lanes, or give --group, or --all')
    const integration = input.required('integration')
    return {
      project,
      ids,
      place: { project, integration, group: isAll ? null : (group ?? null) },
      object,
      type,
    }
  },
  async (given, session) => {
    const { api, output } = session
    const flushed: Lane[] = []
    for (const id of given.place === null ? given.ids : await idsAt(given.place, given, session)) {
      const target = path`/v1/projects/${given.project}/lanes/${id}:flush`
      const lane = (await api.call('POST', target, { isRepeatable: true })).body as Lane
      flushed.push(lane)
      const held = lane.heldBy === undefined ? '' : `, held: ${lane.heldBy}`
      output.line(`${lane.id}  ${lane.objectName} ${lane.type}  ${lane.waiting} waiting${held}`)
    }
    output.json({ lanes: flushed })
    output.line(flushed.length === 0 ? 'Nothing waits.' : `${counted(flushed.length, 'lane')} flushed`)
    return exitCodes.done
  },
)

async function idsAt(place: Place, { object, type }: Given, { api }: Session): Promise<string[]> {
  const ids: string[] = []
  for (const installation of await findInstallations(api, place))
    for (const lane of await lanesOf(api, place, installation))
      if ((object === undefined || lane.objectName === object) && (type === undefined || lane.type === type))
        ids.push(lane.id)
  return ids
}
