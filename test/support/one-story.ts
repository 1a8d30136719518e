/** For a `describe` whose tests are steps of one story: each goes on from where the one before has left off. */
export const oneStory = { shuffle: false } as const
