import { controlCharacters } from '../kernel/control-characters.ts'

/** Breaks a text into lines at its blanks. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** A figure with what it counts: `1 write`, `1,000 writes`. */
export const counted = (value: number, what: string, plural = `${what}s`): string =>
  `${value.toLocaleString('en-US')} ${value === 1 ? what : plural}`

/** Cuts a text to a width, the last place an ellipsis where something is missing. */
export const shorten = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`

const controls = new RegExp(`${controlCharacters.source}+`, 'g')

/** A text of somebody else's on one line, without anything that a terminal would obey. */
export const tidy = (text: string): string => text.replace(controls, ' ')

/** How far away a moment is: `3 s`, `12 min`, `5 h`, `9 d`. */
export function distance(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}
