import {
  DestinationTestEvent,
  NotificationHeaders,
  WriteDoneDigest,
  WriteDoneEvent,
} from '../contract/notifications.ts'
import type { Document, DocumentedCall, Parameter, Schema } from './document.ts'

const parameters = (): Parameter[] =>
  Object.entries(NotificationHeaders.properties).map(([name, schema]) => ({
    name,
    in: 'header',
    required: true,
    schema: { ...schema },
  }))

/** What a receiver's answers mean. */
const responses = (): DocumentedCall['responses'] => ({
  '2XX': {
    description: 'The message was taken. Answer within 15 seconds, and do the work afterwards.',
  },
  '410': { description: 'The receiver is gone: its destination is switched off at once.' },
  '429': {
    description:
      'The receiver has too much to do; 503 says the same. The message is sent again after `Retry-After`, within the bounds of any other retry.',
    headers: {
      'Retry-After': { description: 'Seconds, or a date.', schema: { type: 'string' } },
    },
  },
  default: {
    description:
      'The message was not taken, whatever the answer; redirects are not followed. It is sent again, within 30 seconds for the first time, then at growing intervals for 24 hours.',
  },
})

const call = (operationId: string, summary: string, description: string, schema: Schema): DocumentedCall => ({
  operationId,
  summary,
  description,
  tags: ['destinations'],
  security: [],
  parameters: parameters(),
  requestBody: { required: true, content: { 'application/json': { schema } } },
  responses: responses(),
})

/** The calls that the service makes to a project's webhook destinations (contract section 7), by notification type. */
export const documentedWebhooks = (): NonNullable<Document['webhooks']> => ({
  'write.async.done': {
    post: call(
      'onWriteDone',
      'An operation has ended',
      'Told of every asynchronous operation, however it ends, once it has; at least once, signed by the Standard Webhooks scheme.',
      WriteDoneEvent,
    ),
  },
  'write.async.done.digest': {
    post: call(
      'onWritesDone',
      'Operations have ended',
      'The same for several operations in one call, to a destination with a `digest`.',
      WriteDoneDigest,
    ),
  },
  'destination.test': {
    post: call(
      'onDestinationTest',
      'A test of the destination',
      'Sent when somebody asks for it (`:test`), once.',
      DestinationTestEvent,
    ),
  },
})
