import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { verifyWebhook, WebhookError } from '../../src/client/index.ts'

const secret = `whsec_${randomBytes(24).toString('base64')}`
const event = {
  notificationType: 'write.async.done',
  data: { success: true, operationId: 'o', name: 'Ngāta' },
}
const body = JSON.stringify(event)

function headersOf(at = new Date(), by = secret, text = body): Record<string, string> {
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(by).sign('msg_1', at, text),
  }
}
const seconds = (ago: number): Date => new Date(Date.now() - ago * 1000)

describe('a call of a webhook', () => {
  it('signed by the standard’s own library is trusted, in whichever form it comes', async () => {
    expect(await verifyWebhook(body, headersOf(), secret)).toEqual(event)
    expect(await verifyWebhook(Buffer.from(body), new Headers(headersOf()), secret)).toEqual(event)
    const upper = Object.fromEntries(
      Object.entries(headersOf()).map(([name, value]) => [name.toUpperCase(), value]),
    )
    expect(await verifyWebhook(body, upper, secret.replace('whsec_', ''))).toEqual(event)
  })

  it('agrees with the standard’s own library on what it refuses', async () => {
    const other = `whsec_${randomBytes(24).toString('base64')}`
    const good = headersOf()
    const cases: [string, Record<string, string>][] = [
      [`${body} `, good],
      [body, headersOf(new Date(), other)],
      [body, { ...good, 'webhook-id': 'msg_2' }],
      [body, { ...good, 'webhook-timestamp': String(Number(good['webhook-timestamp']) - 1) }],
      [body, { ...good, 'webhook-signature': good['webhook-signature']!.replace('v1,', 'v2,') }],
      [body, { ...good, 'webhook-signature': 'v1,' }],
      [body, headersOf(seconds(301))],
      [body, headersOf(seconds(-302))],
      [body, { ...good, 'webhook-timestamp': 'soon' }],
      [body, { 'webhook-id': 'msg_1' }],
    ]
    for (const [text, headers] of cases) {
      expect(() => new Webhook(secret).verify(text, headers)).toThrow()
      await expect(verifyWebhook(text, headers, secret)).rejects.toBeInstanceOf(WebhookError)
    }
  })

  it('with several signatures, or while a secret is being replaced: one that fits is enough', async () => {
    const other = `whsec_${randomBytes(24).toString('base64')}`
    const at = new Date()
    const both = [headersOf(at, other), headersOf(at)]
      .map((headers) => headers['webhook-signature'])
      .join(' ')
    const headers = { ...headersOf(at), 'webhook-signature': `v1,%% v1a,abc ${both}` }
    expect(await verifyWebhook(body, headers, secret)).toEqual(event)
    expect(new Webhook(secret).verify(body, { ...headers, 'webhook-signature': both })).toEqual(event)
    expect(await verifyWebhook(body, headersOf(), [other, secret])).toEqual(event)
    await expect(verifyWebhook(body, headersOf(), [other])).rejects.toThrow('No signature fits')
  })

  it('may be as late as it is allowed to be, and has to be JSON', async () => {
    const late = headersOf(seconds(1_000))
    await expect(verifyWebhook(body, late, secret)).rejects.toThrow('too old')
    expect(await verifyWebhook(body, late, secret, { toleranceSeconds: 2_000 })).toEqual(event)
    expect(await verifyWebhook(body, late, secret, { now: Date.now() - 1_000_000 })).toEqual(event)
    await expect(verifyWebhook('<p>', headersOf(new Date(), secret, '<p>'), secret)).rejects.toThrow(
      'not JSON',
    )
    await expect(verifyWebhook(body, headersOf(), 'whsec_')).rejects.toBeInstanceOf(TypeError)
  })
})
