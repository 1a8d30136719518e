import { isWritebackError, WritebackError, type Issue } from '../../kernel/errors.ts'

/** Runs something, and has the issues of what it throws tell of the body that the caller sent. */
export function translated<T>(translate: (issues: readonly Issue[]) => Issue[], run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!isWritebackError(error) || error.issues === undefined) throw error
    const { code, message, remedy, issues } = error
    throw new WritebackError(code, message, {
      issues: translate(issues),
      ...(remedy !== undefined && { remedy }),
      cause: error,
    })
  }
}
