import { expect, it } from 'vitest'
import type { Provider } from '../../src/providers/provider.ts'
import { createProviderRegistry } from '../../src/providers/registry.ts'

const provider = (name: string, closed: string[]): Provider => ({
  name,
  openSession: () => Promise.reject(new Error('not used')),
  sendGroups: () => Promise.reject(new Error('not used')),
  updateCollision: () => Promise.reject(new Error('not used')),
  lookUp: () => Promise.reject(new Error('not used')),
  readFields: () => Promise.reject(new Error('not used')),
  close: () => {
    closed.push(name)
    return Promise.resolve()
  },
})

it('finds providers by name and closes every one', async () => {
  const closed: string[] = []
  const registry = createProviderRegistry([provider('salesforce', closed), provider('other', closed)])
  expect(registry.find('salesforce')?.name).toBe('salesforce')
  expect(registry.find('nothing')).toBeUndefined()
  expect(registry.names).toEqual(['salesforce', 'other'])
  await registry.close()
  expect(closed.sort()).toEqual(['other', 'salesforce'])
})

it('refuses two providers of one name', () => {
  expect(() => createProviderRegistry([provider('x', []), provider('x', [])])).toThrow('same name')
})
