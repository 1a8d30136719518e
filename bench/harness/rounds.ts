import { messageOf } from '../../src/kernel/errors.ts'
import { figureOf, short, type Figure, type Round, type Side } from './answer.ts'
import type { Bench } from './bench.ts'

/** One of those that are measured side by side. */
export interface Contender {
  label: string
  side: Side
  round: (number: number) => Promise<Round>
}

/**
 * Lets the contenders take turns, round by round, so that what changes on the machine meanwhile changes for
 * all of them. One that fails is left out from then on, with a note: the others' figures still stand.
 *
 * @param ours failing makes the whole question fail
 */
export async function takeTurns(
  bench: Bench,
  unit: string,
  contenders: readonly Contender[],
): Promise<{ figures: Figure[]; notes: string[] }> {
  const rounds = new Map<Contender, Round[]>(contenders.map((one) => [one, []]))
  const notes: string[] = []
  for (let number = 0; number < bench.options.rounds; number += 1) {
    for (const [contender, done] of [...rounds]) {
      bench.signal.throwIfAborted()
      try {
        const round = await contender.round(number)
        done.push(round)
        bench.say(`  round ${number + 1}: ${contender.label} ${short(round.value)} ${unit}`)
      } catch (error) {
        if (contender.side === 'ours' || bench.signal.aborted) throw error
        notes.push(`${contender.label} failed in round ${number + 1}: ${messageOf(error)}`)
        rounds.delete(contender)
      }
    }
  }
  const figures = [...rounds].map(([{ label, side }, done]) => figureOf({ label, side, unit }, done))
  return { figures, notes }
}

/** The figure of one contender; undefined when it was not measured. */
export const figureFor = (figures: readonly Figure[], label: string): Figure | undefined =>
  figures.find((figure) => figure.label === label)
