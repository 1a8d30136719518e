/** What a scrape said. */
export interface Samples {
  text: string
  /** The value of one sample; undefined when there is none with exactly these labels. */
  value: (name: string, labels?: Record<string, string>) => number | undefined
  /** The sum over all samples of a name that have these labels among theirs. */
  sum: (name: string, labels?: Record<string, string>) => number
  /** The values that a label has over all samples of a name. */
  labels: (name: string, label: string) => string[]
}

interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

function parseLine(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
  if (match === null) throw new Error(`Not a sample: ${line}`)
  const [, name = '', text = '', value = ''] = match
  const labels = Object.fromEntries(
    [...text.matchAll(/([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', of = '']) => [key, of]),
  )
  return { name, labels, value: Number(value) }
}

/** Reads Prometheus' text format; throws at a line that is none of it. */
export function parseSamples(text: string): Samples {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseLine)
  const having = (name: string, labels: Record<string, string>) =>
    samples.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
  return {
    text,
    value: (name, labels = {}) =>
      having(name, labels).find((one) => Object.keys(one.labels).length === Object.keys(labels).length)
        ?.value,
    sum: (name, labels = {}) => having(name, labels).reduce((sum, { value }) => sum + value, 0),
    labels: (name, label) => having(name, {}).map(({ labels }) => labels[label] ?? ''),
  }
}

/** Scrapes a process. */
export async function readSamples(url: string): Promise<Samples> {
  const answer = await fetch(`${url}/metrics`)
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`)
  return parseSamples(await answer.text())
}
