import { areInteractions } from '../../model/engagement.ts'
import type { CallAnswer } from '../../model/outcome.ts'
import { MAX_PACKED } from '../../model/write.ts'
import type { ProviderGroup } from '../provider.ts'
import { readAnswer } from './answer.ts'
import { failedCall, refusedHere, type CallSeries } from './call-series.ts'
import { collectionsRequest, InvalidGroup } from './collections.ts'
import { compositeBody, isPackable, readComposite, type PackedGroup } from './composite.ts'
import { interactionsRequest, readInteractions } from './interactions.ts'

/** A composite body stays below this; 50 MB are refused (facts 6). */
const MAX_BODY_BYTES = 45_000_000

/** A group on its way, with its place among all. */
interface Placed extends PackedGroup {
  position: number
}

/** What sending groups needs to know of the org. */
export interface CompositeUse {
  /** For example `67.0`. */
  apiVersion: string
  /** Whether the org is known to refuse composite calls. */
  isRefused: () => boolean
  noteRefused: () => void
}

/**
 * Sends groups in as few calls as they take, in order, and puts each one's answer at its place in
 * `answers`, as soon as it is known.
 */
export async function sendGroups(
  series: CallSeries,
  groups: readonly ProviderGroup[],
  composite: CompositeUse,
  answers: (CallAnswer | undefined)[],
): Promise<void> {
  const placed = groups.flatMap((group, position) => {
    try {
      return [{ group, position, request: requestOf(group, composite.apiVersion) }]
    } catch (error) {
      if (!(error instanceof InvalidGroup)) throw error
      answers[position] = refusedHere('INVALID_GROUP', error.message, 'permanent')
      return []
    }
  })
  let end: CallAnswer | null = null
  for (const pack of packsOf(placed)) {
    if (end === null) end = await sendPack(series, pack, composite, answers)
    else for (const { position } of pack) answers[position] = end
  }
}

const requestOf = (group: ProviderGroup, apiVersion: string): PackedGroup['request'] =>
  areInteractions(group) ? interactionsRequest(group, apiVersion) : collectionsRequest(group)

/** Groups that go in one call each: consecutive ones, by number and by bytes. */
export function packsOf<T extends PackedGroup>(groups: readonly T[], maxBytes = MAX_BODY_BYTES): T[][] {
  const packs: T[][] = []
  let open: T[] | null = null
  let bytes = 0
  for (const one of groups) {
    if (!isPackable(one)) {
      packs.push([one])
      open = null
      continue
    }
    // The rest of a subrequest is small: a path, which for a delete holds the ids, and a few headers.
    const size = Buffer.byteLength(one.request.body ?? '') + one.request.path.length + 1000
    if (open === null || open.length === MAX_PACKED || bytes + size > maxBytes) {
      open = []
      bytes = 0
      packs.push(open)
    }
    open.push(one)
    bytes += size
  }
  return packs
}

/** Sends one pack. Gives the answer that holds for everything after it too, or null when there is none. */
async function sendPack(
  series: CallSeries,
  pack: readonly Placed[],
  composite: CompositeUse,
  answers: (CallAnswer | undefined)[],
): Promise<CallAnswer | null> {
  if (pack.length === 1 || composite.isRefused()) return sendSingly(series, pack, answers)
  const body = compositeBody(pack, composite.apiVersion)
  const outcome = await series.send({ method: 'POST', path: '/composite', headers: [], body })
  const read =
    outcome.kind === 'failure'
      ? ({ kind: 'whole', answer: failedCall(outcome), sendSingly: false, unavailable: false } as const)
      : readComposite(outcome, pack)
  if (read.kind === 'whole') {
    if (read.unavailable) composite.noteRefused()
    if (read.sendSingly) return sendSingly(series, pack, answers)
    for (const { position } of pack) answers[position] = read.answer
    return endOf(read.answer)
  }
  let end: CallAnswer | null = null
  for (const [index, { position }] of pack.entries()) {
    const answer = read.answers[index]
    answers[position] = answer
    end ??= answer === undefined ? null : endOf(answer)
  }
  return end
}

/** Sends each group as a call of its own, until one tells that the others need not be tried. */
async function sendSingly(
  series: CallSeries,
  pack: readonly Placed[],
  answers: (CallAnswer | undefined)[],
): Promise<CallAnswer | null> {
  let end: CallAnswer | null = null
  for (const { group, position, request } of pack) {
    if (end !== null) {
      answers[position] = end
      continue
    }
    const outcome = await series.send({ ...request, headers: group.headers })
    const read = areInteractions(group) ? readInteractions : readAnswer
    const answer = outcome.kind === 'failure' ? failedCall(outcome) : read(outcome, group)
    answers[position] = answer
    end = endOf(answer)
  }
  return end
}

/**
 * The answer for what was not sent after this one: a session that does not work and a limit of the org
 * turn away every group alike, and what was not reached is not tried again. An answer that was lost says
 * nothing of the others; once time is up or the task was aborted they end as not sent by themselves.
 */
function endOf(answer: CallAnswer): CallAnswer | null {
  if (answer.kind === 'not_sent') return answer
  const turnsAway =
    answer.kind === 'refused' && (answer.errorClass === 'auth' || answer.errorClass === 'throttled')
  return turnsAway ? answer : null
}
