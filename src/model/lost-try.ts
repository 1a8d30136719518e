/** How a write was in a try whose answer was lost: as itself, or as one record with others to the same. */
export type LostTry = 'alone' | 'merged'

/** Stands beside the batches of a write that was sent as one record with others when its answer was lost. */
export const SENT_AS_ONE = '00000000-0000-0000-0000-000000000000'
