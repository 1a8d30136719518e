import fc from 'fast-check'
import { expect, it } from 'vitest'
import { splitLines, type Line } from '../../src/api/ampersand/bulk-lines.ts'

// eslint-disable-next-line @typescript-eslint/require-await -- a body as a request has it
async function* bodyOf(chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

async function read(chunks: Buffer[], line = 1_000, body = 1e9): Promise<Line[]> {
  const all: Line[] = []
  for await (const lines of splitLines(bodyOf(chunks), { line, body })) all.push(...lines)
  return all
}

const shown = (lines: Line[]): [number, string | null][] =>
  lines.map(({ number, bytes, fault }) => [number, fault ?? bytes.toString()])

/** A text in pieces of these sizes. */
function cut(text: string, sizes: number[]): Buffer[] {
  const bytes = Buffer.from(text)
  const chunks: Buffer[] = []
  let at = 0
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...chunks, bytes.subarray(at)]
}

it('cuts a body into its lines, the last one with or without an end', async () => {
  const expected = [
    [1, 'a'],
    [2, 'bc'],
  ]
  expect(shown(await read([Buffer.from('a\nbc\n')]))).toEqual(expected)
  expect(shown(await read([Buffer.from('a\nb'), Buffer.from('c')]))).toEqual(expected)
})

it('leaves blank lines out, but counts them', async () => {
  expect(shown(await read([Buffer.from('\n\r\na\n \t\r\n\nb\r\n\n  ')]))).toEqual([
    [3, 'a'],
    [6, 'b\r'],
  ])
})

it('gives the lines of a chunk as soon as it is there', async () => {
  const lines = splitLines(bodyOf([Buffer.from('a\nb\nc'), Buffer.from('d\n')]), { line: 9, body: 99 })
  expect(shown((await lines.next()).value as Line[])).toEqual([
    [1, 'a'],
    [2, 'b'],
  ])
  await lines.return()
})

it('names a line that is too long, wherever it is cut, and goes on with the next', async () => {
  const text = `1234\n12345\n1234\n${'x'.repeat(99)}`
  for (const sizes of [[], [7], [3, 3, 3, 3, 3], Array.from({ length: 110 }, () => 1)])
    expect(shown(await read(cut(text, sizes), 4))).toEqual([
      [1, '1234'],
      [2, 'too long'],
      [3, '1234'],
      [4, 'too long'],
    ])
})

it('names each line that ends beyond the limit of the body', async () => {
  expect(shown(await read([Buffer.from('abc\ndef\ng\n\nh')], 100, 7))).toEqual([
    [1, 'abc'],
    [2, 'def'],
    [3, 'beyond'],
    [5, 'beyond'],
  ])
})

it('a body means the same however it is cut', async () => {
  const texts = fc.array(fc.constantFrom('a', 'é', '\n', '\r\n', ' ', '€uro', 'xxxxxxxx'), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(texts, fc.array(fc.nat(9)), async (parts, sizes) => {
      const text = parts.join('')
      expect(shown(await read(cut(text, sizes), 10, 60))).toEqual(
        shown(await read([Buffer.from(text)], 10, 60)),
      )
    }),
  )
})
