import type { Installation } from '../contract/installations.ts'
import type { Lane } from '../contract/lane.ts'
import type { Spec } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { findInstallations, installationPath, type Place } from './installations.ts'
import type { Column } from './output.ts'
import { serviceCommand } from './run-command.ts'
import { groupOption, integrationOption, projectOption, serviceOptions } from './target.ts'
import { counted, distance, tidy } from './text.ts'

export const spec: Spec = {
  name: 'lanes',
  usage: ['[--group GROUP]'],
  about: [
    'Shows what waits to leave: for each customer the lanes in which something waits, how much, when it leaves, and what holds it.',
  ],
  options: { ...projectOption, ...integrationOption, ...groupOption, ...serviceOptions },
  examples: [
    ['Of every customer', 'writeback lanes -p acme -i crm'],
    ['What is held, and why', "writeback lanes -p acme -i crm --json | jq '.lanes[] | select(.heldBy)'"],
  ],
  exits: ['done', 'failed', 'usage', 'refused'],
}

const columns: Column[] = [
  { title: 'LANE' },
  { title: 'OBJECT', isFlexible: true },
  { title: 'TYPE' },
  { title: 'WAITING', isFigure: true },
  { title: 'LEAVES', isFlexible: true },
]

/** Reads which installations are meant. */
export const readPlace = (input: {
  required: (name: string) => string
  text: (name: string) => string | undefined
}): Place => ({
  project: input.required('project'),
  integration: input.required('integration'),
  group: input.text('group') ?? null,
})

/** `writeback lanes` */
export const { run } = serviceCommand(spec, readPlace, async (place, { api, output }) => {
  const lanes: (Lane & { installationId: string; groupRef: string })[] = []
  for (const installation of await findInstallations(api, place)) {
    const found = await lanesOf(api, place, installation)
    if (found.length === 0) continue
    const { id: installationId, group, connection } = installation
    lanes.push(...found.map((lane) => ({ ...lane, installationId, groupRef: group.groupRef })))
    const broken = connection.status === 'broken' ? output.paint('red', '  its connection is broken') : ''
    output.line(`${output.paint('bold', tidy(group.groupRef))}${broken}`)
    output.table(columns, found.map(rowOf))
    output.line()
  }
  output.json({ lanes })
  const waiting = lanes.reduce((sum, lane) => sum + lane.waiting, 0)
  output.line(
    lanes.length === 0
      ? 'Nothing waits.'
      : `${counted(waiting, 'write')} in ${counted(lanes.length, 'lane')}`,
  )
  return exitCodes.done
})

/** The lanes of an installation in which something waits. */
export const lanesOf = (
  api: { all: <T>(path: string) => Promise<T[]> },
  { project, integration }: Place,
  { id }: Installation,
): Promise<Lane[]> => api.all<Lane>(`${installationPath(project, integration, id)}/lanes`)

function rowOf({ id, objectName, type, waiting, dueTime, heldBy }: Lane): string[] {
  const inMs = dueTime === null ? 0 : Date.parse(dueTime) - Date.now()
  const due = inMs <= 0 ? 'now' : `in ${distance(inMs)}`
  return [id, objectName, type, String(waiting), heldBy === undefined ? due : `held: ${heldBy}`]
}
