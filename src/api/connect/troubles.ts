import type { Link, NotConnected, SignInResult } from '../../actions/connect-org.ts'
import { layOut, type Page } from './layout.ts'
import { troublePage, type Trouble } from './pages.ts'
import { html } from '../../kernel/html.ts'

const askAnew = 'Ask whoever gave you the link for a new one.'
const askAdmin = 'Ask your Salesforce administrator, and then try again.'
const tellIntegrator = 'Tell whoever gave you the link what it says here: they can mend it.'

/** There is no link of this address. */
export const unknownLink: Trouble = {
  status: 404,
  title: 'This link is not valid',
  says: 'There is no such link, or not any more.',
  remedy: `Check that the whole of it was copied. Otherwise ${askAnew.charAt(0).toLowerCase()}${askAnew.slice(1)}`,
}

/** A link that can do nothing more. */
export const closedLink: Record<Exclude<Link['status'], 'open' | 'interrupted'>, Trouble> = {
  used: {
    status: 410,
    title: 'This link has been used',
    says: 'Salesforce was connected with it. A link works once.',
    remedy: `There is nothing left to do. To connect again, ${askAnew.charAt(0).toLowerCase()}${askAnew.slice(1)}`,
  },
  expired: {
    status: 410,
    title: 'This link has expired',
    says: 'A link works for 15 minutes. Nothing was connected with it.',
    remedy: askAnew,
  },
}

/** By why a sign-in came to nothing. */
const troubles: Record<Exclude<NotConnected, 'done'>, Trouble> = {
  unknown: {
    status: 400,
    title: 'This sign-in is not known',
    says: 'It was replaced by a later one, or is no sign-in of ours.',
    remedy: 'Open the link that you were given, and start again.',
  },
  used: {
    status: 410,
    title: 'This sign-in has been used',
    says: 'A sign-in counts once, and this one came back before.',
    remedy: 'If you do not see your org connected, open the link that you were given and start again.',
  },
  expired: {
    status: 410,
    title: 'The sign-in took too long',
    says: 'More than 15 minutes have passed since you began. Nothing was connected.',
    remedy: askAnew,
  },
  other_browser: {
    status: 400,
    title: 'This is another browser',
    says: 'The sign-in was begun in another browser or window, or this one refuses cookies. Nothing was connected.',
    remedy:
      'Open the link that you were given in this browser, and sign in and come back in it. Cookies must be allowed.',
  },
  unreadable: {
    status: 500,
    title: 'The link cannot be read',
    says: 'The service has other keys than when the link was made. Nothing was connected.',
    remedy: askAnew,
  },
  replaced: {
    status: 409,
    title: 'Another sign-in has begun',
    says: 'The link was opened again meanwhile, so that this sign-in counts no more.',
    remedy: 'Finish the other one, or start again.',
  },
  deleted: {
    status: 410,
    title: 'This link is not valid any more',
    says: 'What it was made for has been deleted meanwhile. Nothing was connected.',
    remedy: askAnew,
  },
  denied: {
    status: 403,
    title: 'Not connected',
    says: 'Access was not allowed, so nothing was connected.',
    remedy: 'If that was not meant, try again and choose Allow.',
  },
  not_approved: {
    status: 403,
    title: 'The app is not approved',
    says: 'Your Salesforce org does not let you use this app.',
    remedy: `It may have to be installed there, or approved for you. ${askAdmin}`,
  },
  not_installed: {
    status: 403,
    title: 'The app is not installed',
    says: 'Your Salesforce org does not have this app yet, and only an administrator can install it.',
    remedy:
      'Ask your Salesforce administrator to install it, and then try again. Whoever gave you the link knows where it is found.',
  },
  not_from_here: {
    status: 403,
    title: 'Your org does not let this service in',
    says: 'Your Salesforce org lets you or this app in from certain network addresses only, or at certain hours.',
    remedy:
      'Ask your Salesforce administrator to relax the IP restrictions of the app, or the login hours, and then try again.',
  },
  other_org: {
    status: 403,
    title: 'The app is for another org',
    says: 'This app works in the org that it was made in, and you signed in to another one.',
    remedy:
      'If that was not the org you meant, sign out of Salesforce in this browser and try again. Otherwise tell whoever gave you the link what it says here.',
  },
  app_unknown: {
    status: 400,
    title: 'The app is not known',
    says: 'Salesforce does not know the app that you were to allow: its consumer key is wrong, or it is not there yet.',
    remedy: `${tellIntegrator} A new app takes up to ten minutes to be known everywhere.`,
  },
  app_refused: {
    status: 502,
    title: 'The app was refused',
    says: 'Salesforce did not take the consumer secret of the app.',
    remedy: tellIntegrator,
  },
  redirect_mismatch: {
    status: 502,
    title: 'The callback URL does not match',
    says: 'The app does not have the callback URL of this page.',
    remedy: tellIntegrator,
  },
  scope_missing: {
    status: 502,
    title: 'The app may not do enough',
    says: 'The app lacks one of the OAuth scopes "api" and "refresh_token, offline_access".',
    remedy: tellIntegrator,
  },
  no_refresh_token: {
    status: 502,
    title: 'The app may not do enough',
    says: 'Salesforce gave no refresh token: the app lacks the OAuth scope "refresh_token, offline_access". Nothing was connected.',
    remedy: tellIntegrator,
  },
  code_refused: {
    status: 502,
    title: 'The sign-in was not accepted',
    says: 'Salesforce did not accept the code that you came back with: it was used before, or too late.',
    remedy: 'Start again.',
  },
  unreachable: {
    status: 502,
    title: 'Salesforce could not be reached',
    says: 'The login host gave no usable answer. Nothing was connected.',
    remedy: 'Try again in a minute.',
  },
  failed: {
    status: 502,
    title: 'Salesforce refused',
    says: 'The sign-in did not come to an end. Nothing was connected.',
    remedy: `Try again. If it stays like this, tell whoever gave you the link what it says here.`,
  },
}

/** Why a sign-in came to nothing, as a page. */
export function notConnectedPage(result: Extract<SignInResult, { kind: 'not_connected' }>): Page {
  const { reason, said, again } = result
  if (reason === 'done') return donePage
  // Denying needs no proof, and what a socket says is for the log.
  const isPlain = reason === 'denied' || reason === 'unreachable'
  return troublePage({ ...troubles[reason], said: isPlain ? null : said, again })
}

const donePage = layOut({
  status: 200,
  title: 'Connected',
  mood: 'good',
  body: html`<h1>Connected</h1>
    <p class="lead">This link has been used, and your Salesforce org is connected.</p>
    <p class="small">You can close this window.</p>`,
})
