import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'

const folder = resolve(import.meta.dirname, '../../src/client')
const sources = readdirSync(folder).map((file) => ({
  file,
  text: readFileSync(resolve(folder, file), 'utf8'),
}))

it('the client needs nothing at run time but what every runtime has', () => {
  expect(sources.length).toBeGreaterThan(10)
  for (const { file, text } of sources) {
    const taken = [...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)'/gms)]
    const foreign = taken.filter(([, type, from]) => type === undefined && !/^\.\/[\w-]+\.ts$/.test(from!))
    expect(foreign.map(([whole]) => `${file}: ${whole}`)).toEqual([])
    // Of Node alone, or younger than Node 20.
    expect(
      text.match(/\b(process|Buffer|setImmediate|__dirname|withResolvers|fromAsync)\b/g),
      file,
    ).toBeNull()
  }
})
