/** How often each text occurs, whatever the texts are: `constructor` is one like any other. */
export const tally = (texts: Iterable<string>): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(texts, (text) => text)].map(([text, all]) => [text, all.length]))
