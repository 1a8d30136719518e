import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { runInNewContext } from 'node:vm'

/**
 * The document's own script, line by line. What its copy has lost is put back: `opportunityRecord.id`,
 * `xmlhttp.open(` and the closing braces; `handle` and `render` stand where its comments do.
 */
const printed = `
function queryQuotes(){
var queryURL = roomContext.url + '/query';
var queryRequest = {};
queryRequest.query = "SELECT Id, Name, TotalAmount FROM Quote WHERE OpportunityId='" + roomContext.masterRecordId + "' LIMIT 100";
var xmlhttp = new XMLHttpRequest();
xmlhttp.open("POST", queryURL );
xmlhttp.setRequestHeader("Content-Type", "application/json" );
xmlhttp.setRequestHeader("Authorization", roomContext.sessionId );
xmlhttp.send(JSON.stringify( queryRequest ) );
xmlhttp.onreadystatechange = function() {
if ( xmlhttp.readyState === 4) {
var data = JSON.parse( xmlhttp.response );
// Render response
render( data );
}
}
}
function updateSelectedQuote( selectedQuoteId ){
var updateURL = roomContext.url + '/records';
var opportunityRecord = {};
opportunityRecord.id = roomContext.masterRecordId;
opportunityRecord.type = "Opportunity";
opportunityRecord.fields = {};
opportunityRecord.fields["CustomerSelectedQuote__c"] = selectedQuoteId;
var updateRequest = {};
updateRequest.method = "UPDATE";
updateRequest.type = "Opportunity";
updateRequest.records = [];
updateRequest.records.push( opportunityRecord )
var xmlhttp = new XMLHttpRequest();
xmlhttp.open("POST", updateURL );
xmlhttp.setRequestHeader("Content-Type", "application/json");
xmlhttp.setRequestHeader("Authorization", roomContext.sessionId);
xmlhttp.send(JSON.stringify( updateRequest ) );
xmlhttp.onreadystatechange = function() {
if ( xmlhttp.readyState === 4) {
var response = JSON.parse( xmlhttp.response );
if( response.success == false ){
// Handle response.message and response.errors here
handle( response );
}
else {
// Render response
render( response );
}
}
}
}`

/** What the script knows of its room. */
export interface RoomContext {
  /** As a browser does, the script's calls leave out what follows a `#`. */
  url: string
  /** The value of the Authorization header. */
  sessionId: string
  masterRecordId: string
}

/** What the script does with its answer, and the answer. */
export type Shown = ['handled' | 'rendered', unknown]

/** As much of a browser's as the script uses. */
class XMLHttpRequest {
  readyState = 0
  response = ''
  onreadystatechange: () => void = () => undefined
  readonly #headers: Record<string, string> = {}
  #call = { method: '', url: '' }
  readonly #failed: (error: unknown) => void

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  open(method: string, url: string): void {
    this.#call = { method, url }
  }

  setRequestHeader(name: string, value: string): void {
    this.#headers[name] = value
  }

  send(body: string): void {
    const { method, url } = this.#call
    fetch(url, { method, headers: this.#headers, body })
      .then(async (answer) => {
        this.response = await answer.text()
        this.readyState = 4
        this.onreadystatechange()
      })
      .catch(this.#failed)
  }
}

/**
 * The server of a room, of the page's own origin: passes calls on to an integration, with what the page does not
 * know, the group and the key.
 */
export async function startRoomServer(integration: string, groupRef: string, authorization: string) {
  const server = createServer((request, response) => {
    const passOn = async (): Promise<void> => {
      const answer = await fetch(`${integration}${request.url}?groupRef=${groupRef}`, {
        method: 'POST',
        headers: { 'content-type': String(request.headers['content-type']), authorization },
        body: await text(request),
      })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    }
    void passOn().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async (): Promise<void> => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Has the script ask for the quotes of its opportunity, and tells what it shows. */
export const queryQuotes = (roomContext: RoomContext): Promise<Shown> => run(roomContext, 'queryQuotes()')

/** Has the script select a quote, and tells what it shows. */
export const updateSelectedQuote = (roomContext: RoomContext, selectedQuoteId: string): Promise<Shown> =>
  run(roomContext, `updateSelectedQuote(${JSON.stringify(selectedQuoteId)})`)

const run = (roomContext: RoomContext, call: string): Promise<Shown> =>
  new Promise((resolve, reject) => {
    runInNewContext(`${printed}\n${call}`, {
      roomContext,
      XMLHttpRequest: class extends XMLHttpRequest {
        constructor() {
          super(reject)
        }
      },
      handle: (response: unknown) => resolve(['handled', response]),
      render: (response: unknown) => resolve(['rendered', response]),
    })
  })
