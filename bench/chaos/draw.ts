import { seededRandom } from '../../src/simulator/random.ts'

/** Draws from one seeded sequence. */
export class Draw {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** Evenly from [min, max). */
  between(min: number, max: number): number {
    return min + this.#random() * (max - min)
  }

  /** A whole number from min to max, both included. */
  whole(min: number, max: number): number {
    return Math.floor(this.between(min, max + 1))
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  /** The wait until the next of events that come at random, `mean` apart on average. */
  wait(mean: number): number {
    return -mean * Math.log(1 - this.#random())
  }

  /** One of a list. @throws {RangeError} when it is empty */
  from<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.#random() * list.length)]
    if (item === undefined) throw new RangeError('nothing to draw from')
    return item
  }

  /** One of a list of choices, each with its weight. */
  weighted<T>(choices: readonly (readonly [choice: T, weight: number])[]): T {
    let rest = this.#random() * choices.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [choice, weight] of choices) {
      rest -= weight
      if (rest < 0) return choice
    }
    throw new RangeError('nothing to draw from')
  }
}
