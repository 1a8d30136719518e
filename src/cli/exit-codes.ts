/** What the exit codes of the commands mean; a code never changes its meaning. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notWritten: 3,
  inDoubt: 4,
  waiting: 5,
  differs: 6,
  refused: 7,
  interrupted: 130,
  terminated: 143,
} as const

/** The name of an exit code. */
export type ExitName = keyof typeof exitCodes

/** What each code says, for help and the reference. */
export const exitMeanings: Record<ExitName, string> = {
  done: 'done',
  failed: 'the service could not be reached, or failed; nothing more is known',
  usage: 'the command was called wrongly, or its input is not what it has to be; nothing was sent',
  notWritten: 'a write failed, was cancelled or was refused; of several, at least one',
  inDoubt: 'it is not known whether a write was made; of several, at least one',
  waiting: 'the outcome is not there yet, at the end of --timeout too',
  differs: 'apply --check: the service differs from the files',
  refused: 'the service refused the call: the key, something that is not there, a conflict',
  interrupted: 'ended by SIGINT (Ctrl-C)',
  terminated: 'ended by SIGTERM',
}
