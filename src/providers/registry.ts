import type { Provider } from './provider.ts'

/** The providers that this process can write to, by name. */
export interface ProviderRegistry<P extends Provider = Provider> {
  /** The provider of that name (`salesforce` …), or `undefined`. */
  find(name: string): P | undefined
  readonly names: readonly string[]
  /** Closes every provider. */
  close(): Promise<void>
}

/** A registry of these providers; two of one name are a mistake of the caller's. */
export function createProviderRegistry<P extends Provider>(providers: readonly P[]): ProviderRegistry<P> {
  const byName = new Map(providers.map((provider) => [provider.name, provider]))
  if (byName.size !== providers.length) throw new Error('Two providers have the same name.')
  return {
    find: (name) => byName.get(name),
    names: [...byName.keys()],
    async close() {
      await Promise.all(providers.map((provider) => provider.close()))
    },
  }
}
