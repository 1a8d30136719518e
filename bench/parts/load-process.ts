import { messageOf } from '../../src/kernel/errors.ts'
import { carryOut } from './load-orders.ts'
import type { LoadMessage, OrderMessage } from './load-protocol.ts'

/** The process that makes the load: it takes orders over its channel, and may carry out several at once. */
const tell = (message: LoadMessage): void => {
  // A bench that is gone by now has nobody waiting.
  if (process.connected) process.send?.(message)
}

process.on('message', ({ id, order }: OrderMessage) => {
  carryOut(order, (answered) => tell({ id, held: { answered } })).then(
    (result) => tell({ id, result }),
    (error: unknown) => tell({ id, error: messageOf(error) }),
  )
})
// The channel is what keeps this process running.
process.channel?.ref()
tell({ ready: true })
