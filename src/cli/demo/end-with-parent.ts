/**
 * Loaded into the demo's service process beside the service itself: ends it, cleanly, when the demo is
 * gone, however it went. The channel between the two closes by itself even if the demo was killed.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// Listening alone must not keep the process running once the service has stopped.
process.channel?.unref()
