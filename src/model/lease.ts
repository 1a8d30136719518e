/** Seconds without a sign of life after which what a process holds is taken from it, unless configured. */
export const DEFAULT_LEASE_SECONDS = 30

/** Milliseconds between two signs of life: two may fail, and a third be late, before a lease runs out. */
export const signOfLifeMs = (leaseSeconds: number): number => leaseSeconds * 250
