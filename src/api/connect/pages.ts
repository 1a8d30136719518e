import type { Link, SignInResult } from '../../actions/connect-org.ts'
import { html, type Html } from '../../kernel/html.ts'
import { commonLogins } from '../../model/login-hosts.ts'
import { layOut, type Page } from './layout.ts'

/** The environments that one may choose, as the form names them. */
export type Environment = keyof typeof commonLogins | 'my-domain'

/** What was chosen when the form is shown again, and what is wrong with it. */
export interface Choice {
  environment: Environment | null
  domain: string
  /** What is wrong, said of the domain or of the choice. */
  fault?: { of: 'domain' | 'environment'; says: string }
}

const hostOf = (url: string): string => URL.parse(url)?.host ?? url

const choices: { value: Environment; name: string; hint: string }[] = [
  { value: 'production', name: 'Production', hint: hostOf(commonLogins.production) },
  { value: 'sandbox', name: 'Sandbox', hint: hostOf(commonLogins.sandbox) },
  { value: 'my-domain', name: 'My Domain', hint: "your company's own Salesforce address" },
]

const radio = ({ value, name, hint }: (typeof choices)[number], chosen: Environment): Html =>
  html`<label class="choice"
    ><input
      type="radio"
      name="environment"
      id="${value}"
      value="${value}"
      ${value === chosen && 'checked'}
    /><span><b>${name}</b> <span class="hint">${hint}</span></span></label
  >`

function domainField({ domain, fault }: Choice): Html {
  const isWrong = fault?.of === 'domain'
  const wrong = isWrong && html`aria-invalid="true" autofocus`
  return html`<div class="field">
    <label for="domain">My Domain address</label>
    <input
      id="domain"
      name="domain"
      value="${domain}"
      maxlength="300"
      autocomplete="off"
      autocapitalize="none"
      spellcheck="false"
      aria-describedby="domain-hint${isWrong && ' fault'}"
      ${wrong}
    />
    <span class="hint" id="domain-hint">For example example.my.salesforce.com</span>
  </div>`
}

const environmentFields = (choice: Choice): Html =>
  html`<fieldset>
    <legend>Where do you sign in?</legend>
    ${choices.map((one) => radio(one, choice.environment ?? 'production'))} ${domainField(choice)}
  </fieldset>`

/** What every page says of what is asked for. */
const request = ({ projectName, groupRef }: Pick<Link, 'projectName' | 'groupRef'>): Html =>
  html`<strong>${projectName}</strong> asks for access to your Salesforce org, to write records for
    <strong>${groupRef}</strong>.`

/** The link's first page: which environment, and Connect. */
export function choosePage(link: Link, choice: Choice = { environment: null, domain: '' }): Page {
  const { fault } = choice
  const alert =
    fault !== undefined && html`<div class="alert" role="alert"><p id="fault">${fault.says}</p></div>`
  const note =
    link.status === 'interrupted' &&
    fault === undefined &&
    html`<div class="note" role="status"><p>The last sign-in was not finished. You can start again.</p></div>`
  const where =
    link.loginUrl === null
      ? environmentFields(choice)
      : html`<p class="small">You sign in at <strong>${hostOf(link.loginUrl)}</strong>.</p>`
  return layOut({
    status: fault === undefined ? 200 : 400,
    title: `${fault === undefined ? '' : 'Please check: '}Connect Salesforce to ${link.projectName}`,
    mood: 'plain',
    body: html`<h1>Connect Salesforce</h1>
      <p class="lead">${request(link)}</p>
      ${alert}${note}
      <form method="post">
        ${where}
        <button class="button">Connect</button>
      </form>
      <p class="small">
        Salesforce asks for your password, not this page. Connect only if you were given this link by somebody
        you trust.
      </p>`,
  })
}

/** On the way to the login host: a step of its own, see the content security policy. */
export const leavePage = (url: string): Page =>
  layOut({
    status: 200,
    title: 'Going to Salesforce',
    mood: 'plain',
    next: url,
    body: html`<h1>Going to Salesforce</h1>
      <p class="lead">You sign in at <strong>${hostOf(url)}</strong> and come back here.</p>
      <a class="button" href="${url}">Continue</a>`,
  })

type Connected = Extract<SignInResult, { kind: 'connected' }>

/** The org is connected. */
export function connectedPage(result: Connected): Page {
  const { projectName, groupRef, instanceHost, isNew, returnUrl } = result
  const what = isNew
    ? html`<strong>${projectName}</strong> can now write to your org for <strong>${groupRef}</strong>.`
    : html`<strong>${projectName}</strong> has access to your org again. Whatever was waiting for
        <strong>${groupRef}</strong> is written now.`
  const back =
    returnUrl !== null &&
    html`<a class="button" href="${returnUrl}" rel="noreferrer">Back to ${hostOf(returnUrl)}</a>`
  return layOut({
    status: 200,
    title: 'Connected',
    mood: 'good',
    body: html`<h1>Connected</h1>
      <p class="lead">${what}</p>
      <p class="lead">Salesforce org: <strong>${instanceHost}</strong></p>
      ${back}
      <p class="small">${back === false ? 'You can close this window.' : 'Or close this window.'}</p>`,
  })
}

/** What went wrong and what to do; `again` is where one can start anew. */
export interface Trouble {
  status: number
  title: string
  says: string
  /** What to do. */
  remedy: string
  /** What the login host said. */
  said?: string | null
  again?: string | null
}

/** A plain word on what went wrong. */
export const troublePage = ({ status, title, says, remedy, said = null, again = null }: Trouble): Page =>
  layOut({
    status,
    title: `${title} - Connect Salesforce`,
    mood: 'bad',
    body: html`<h1>${title}</h1>
      <div class="alert" role="alert">
        <p>${says}</p>
        ${said !== null && html`<p class="hint">Salesforce said: ${said}</p>`}
      </div>
      <p>${remedy}</p>
      ${again !== null && html`<a class="button" href="${again}">Try again</a>`}`,
  })
