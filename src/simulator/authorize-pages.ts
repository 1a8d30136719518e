import { Html, html } from '../kernel/html.ts'
import type { Answer } from './api-error.ts'
import type { ConnectedApp } from './sessions.ts'

/** Where one's password is posted, and one's answer. */
export const loginPath = '/services/oauth2/authorize/login'
export const consentPath = '/services/oauth2/authorize/consent'

const style = new Html(`
:root { color-scheme: light dark; --back: #f4f6f9; --card: #fff; --text: #181818; --accent: #0b5cab; --on: #fff; --bad: #8e030f; --line: #747474; }
@media (prefers-color-scheme: dark) {
  :root { --back: #10151c; --card: #1a222d; --text: #eef2f7; --accent: #78b9ff; --on: #06203b; --bad: #ff9d9d; --line: #8a97a8; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 3rem 1rem; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 24rem; margin: 0 auto; padding: 1.5rem 2rem 2rem; background: var(--card); border-radius: .5rem; }
header { max-width: 24rem; margin: 0 auto 1rem; font-weight: 600; text-align: center; }
h1 { font-size: 1.35rem; }
p { overflow-wrap: anywhere; }
label { display: block; margin-top: 1rem; font-weight: 600; }
input, button { width: 100%; padding: .6rem; font: inherit; border-radius: .3rem; border: 1px solid var(--line); color: inherit; background: var(--card); }
button { margin-top: 1rem; border-color: var(--accent); color: var(--accent); cursor: pointer; }
button.main { background: var(--accent); color: var(--on); }
:is(input, button):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.error { color: var(--bad); }
`)

const page = (status: number, title: string, body: Html): Answer => ({
  status,
  headers: { 'Content-Type': 'text/html;charset=UTF-8', 'Cache-Control': 'no-store' },
  body: html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <style>
          ${style}
        </style>
      </head>
      <body>
        <header>Salesforce simulator</header>
        <main>${body}</main>
      </body>
    </html> `.text,
})

/** What the login page shows; `visit` says who is on their way. */
interface LoginForm {
  visit: string
  app: ConnectedApp
  /** What was wrong with the last try. */
  error: string | null
  username: string
}

/** The login page. */
export const loginFormPage = ({ visit, app, error, username }: LoginForm): Answer =>
  page(
    200,
    'Login | Salesforce simulator',
    html`<h1>Log in</h1>
      <p>to continue to ${app.clientId}</p>
      ${error !== null && html`<p class="error" role="alert" id="error">${error}</p>`}
      <form method="post" action="${loginPath}">
        <input type="hidden" name="visit" value="${visit}" />
        <label for="username">Username</label>
        <input id="username" name="username" value="${username}" autocomplete="username" required />
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required />
        <button class="main">Log In</button>
      </form>`,
  )

/** What each scope lets an app do, as the page words it. */
const meanings: Record<string, string> = {
  api: 'Manage user data via APIs',
  refresh_token: 'Perform requests at any time',
  offline_access: 'Perform requests at any time',
  full: 'Full access',
  web: 'Manage user data via Web browsers',
}

/** What the consent page shows. */
interface ConsentForm {
  visit: string
  app: ConnectedApp
  username: string
  scope: string
}

/** The consent page. */
export const consentPage = ({ visit, app, username, scope }: ConsentForm): Answer =>
  page(
    200,
    'Allow Access? | Salesforce simulator',
    html`<h1>Allow Access?</h1>
      <p>${app.clientId} is asking to:</p>
      <ul>
        ${scope.split(' ').map((one) => html`<li>${meanings[one] ?? one}</li>`)}
      </ul>
      <p>You are logged in as ${username}.</p>
      <form method="post" action="${consentPath}">
        <input type="hidden" name="visit" value="${visit}" />
        <button name="answer" value="deny">Deny</button>
        <button class="main" name="answer" value="allow">Allow</button>
      </form>`,
  )

/** A refusal that no app is told of, since whose address it would go to is not known. */
export const refusalPage = (error: string, description: string): Answer =>
  page(
    400,
    'OAuth Error | Salesforce simulator',
    html`<h1>OAuth Error</h1>
      <p role="alert">We can't authorize you because of an OAuth error.</p>
      <p>${error}: ${description}</p>`,
  )
