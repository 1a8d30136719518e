/** The channel on which the outbox says that there is something new in it, by the destination's id. A hint. */
export const NOTIFICATION_CHANNEL = 'writeback_notification'
