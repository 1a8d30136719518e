import type { Answer, Content, Document, DocumentedCall, Parameter } from './document.ts'
import { addErrors, codesOf, errorExamples, sharedHeaders } from './document-errors.ts'
import { exampleOf } from './document-examples.ts'
import { operationIdOf } from './document-names.ts'
import { documentedWebhooks } from './document-webhooks.ts'

/** What the groups of calls are about, in the order in which they are shown. */
const tagTexts: Record<string, string> = {
  Writing: 'Records in: one, a batch, or many at once.',
  'Reading from the org':
    'Queries, calls of the org’s own API, lists of what it has: answered by it at once.',
  'Engagement interactions': 'Interactions with their attendees and topics, each written as one.',
  iDialogue: 'Records in and queries, in the shape of scripts of iDialogue rooms.',
  Callers: 'Records in, one or many, as the actions of Callers have them.',
  Floqer: 'Records in, as Floqer’s action has them.',
  'Following a write': 'What became of writes.',
  'Operations by hand': 'What a caller or an operator can still do about a write.',
  'Groups and lanes': 'What waits to leave together, and what left together.',
  projects: 'Whose installations, keys and writes are kept apart.',
  'api keys': 'Who may call for a project, and what they may do.',
  integrations: 'What is offered to customers, by provider.',
  connections: "The customers' orgs and the credentials for them.",
  installations: 'An integration in use by one customer, and how it writes.',
  destinations: 'Where notifications go when operations end.',
  health: 'Whether a process lives, is ready, and how it does. No key needed.',
}

/** What a parameter means that does not say so itself. */
const parameterTexts: Record<string, string> = {
  project: 'Id or name of the project.',
  integration: 'Id or name of the integration.',
  installationId: 'Id of the installation.',
  id: 'Id of what is meant.',
}

const requestId = { $ref: '#/components/headers/X-Request-Id' }

/**
 * Completes a document that was collected from the routes' own schemas: names, examples, what can be refused
 * and with what, and what is shared. It adds and never changes what a route says itself.
 */
export function completeDocument(collected: Document): Document {
  const document = structuredClone(collected)
  const used = new Set<string>()
  for (const [path, calls] of Object.entries(document.paths))
    for (const [method, call] of Object.entries(calls)) {
      completeCall(call, method, path)
      for (const tag of call.tags ?? []) used.add(tag)
    }
  document.webhooks = structuredClone(documentedWebhooks())
  for (const { post } of Object.values(document.webhooks)) {
    for (const parameter of post?.parameters ?? []) completeParameter(parameter)
    if (post?.requestBody !== undefined) addExamples(post.requestBody.content)
  }
  const known = Object.keys(tagTexts).filter((name) => used.has(name))
  const others = [...used].filter((name) => !known.includes(name)).sort()
  document.tags = [...known, ...others].map((name) => ({ name, description: tagTexts[name] ?? `${name}.` }))
  document.components.examples = errorExamples()
  document.components.headers = sharedHeaders
  return document
}

function completeCall(call: DocumentedCall, method: string, path: string): void {
  call.operationId ??= operationIdOf(method, path)
  call.description = descriptionOf(call)
  for (const parameter of call.parameters ?? []) completeParameter(parameter)
  if (call.requestBody !== undefined) addExamples(call.requestBody.content)
  for (const [status, answer] of Object.entries(call.responses)) completeAnswer(answer, status)
  addErrors(call, codesOf(call, method, path))
  for (const answer of Object.values(call.responses))
    answer.headers = { 'X-Request-Id': requestId, ...answer.headers }
}

function descriptionOf({ description, summary = '', ...call }: DocumentedCall): string {
  const text = description ?? `${summary.replace(/\.$/, '')}.`
  const scopes = call['x-required-scopes']
  if (scopes === undefined) return text
  if (scopes.includes('operator')) return `${text}\n\nNeeds the operator’s admin key.`
  return `${text}\n\nNeeds a key with the scope ${scopes.map((scope) => `\`${scope}\``).join(' or ')}.`
}

function completeParameter(parameter: Parameter): void {
  const text = parameter.description ?? parameter.schema.description ?? parameterTexts[parameter.name]
  if (text !== undefined) parameter.description = text
}

const descriptions: Record<string, string> = {
  '200': 'Done.',
  '201': 'Created.',
  '204': 'Done; there is nothing to say.',
}

function completeAnswer(answer: Answer, status: string): void {
  if (answer.description === '' || answer.description === 'Default Response') {
    const told = Object.values(answer.content ?? {})[0]?.schema
    answer.description = told?.description ?? descriptions[status] ?? 'The answer.'
  }
  if (answer.content !== undefined) addExamples(answer.content)
}

/** Problems have theirs by code. */
function addExamples(content: Content): void {
  for (const [type, media] of Object.entries(content)) {
    if (type === 'application/problem+json' || media.schema === undefined) continue
    if (media.example !== undefined || media.examples !== undefined) continue
    const alternatives = media.schema.anyOf ?? []
    const texts = media.schema.examples ?? alternatives.map(exampleOf)
    if (texts.length < 2) media.example = exampleOf(media.schema)
    else
      media.examples = Object.fromEntries(
        texts.map((value, place) => [alternatives[place]?.title ?? `example${place + 1}`, { value }]),
      )
  }
}
