/** Seconds without a sign of life after which what a process holds is taken from it, unless configured. */
export const DEFAULT_LEASE_SECONDS = 30

/** Milliseconds between two signs of life: two may fail, and a third be late, before a lease runs out. */
export const signOfLifeMs = (leaseSeconds: number): number => leaseSeconds * 250

/**
 * Seconds after the database was away until batches may be taken from workers that could not give a sign of
 * life meanwhile: time for two.
 */
export const graceSeconds = (leaseSeconds: number): number => leaseSeconds / 2
