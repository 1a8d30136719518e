/**
 * The limit of what goes out: jsforce sending groups of 100 that it has at hand, five of them packed in a
 * composite call or each as a collection of its own. Nothing is read from a queue and nothing is kept.
 *
 * `--records N --concurrency N --shape composite|collections`, `LOGIN_URL`
 */
import { readArguments, wholeNumber } from './arguments.ts'
import { endWith, required, tell } from './process.ts'
import { objectNames, recordOf, type ObjectName } from './records.ts'
import { API_VERSION, connect, sendGroup } from './salesforce.ts'

const GROUP = 100
const PACKED = 5

const args = readArguments(['records', 'concurrency', 'shape'])
const records = wholeNumber('records', args.records)
const concurrency = wholeNumber('concurrency', args.concurrency)
if (args.shape !== 'composite' && args.shape !== 'collections')
  throw new Error('--shape is composite or collections')
const packed = args.shape === 'composite' ? PACKED : 1

interface Group {
  object: ObjectName
  records: Record<string, unknown>[]
}

/** The answer to a composite call whose subrequests are collections. */
interface CompositeAnswer {
  compositeResponse: { httpStatusCode: number; body: { success: boolean }[] }[]
}

/** Groups of 100, of five objects in turn. */
function makeGroups(): Group[] {
  return Array.from({ length: Math.ceil(records / GROUP) }, (_, place) => {
    const object = objectNames[place % objectNames.length] ?? 'Contact'
    const first = place * GROUP
    const count = Math.min(GROUP, records - first)
    return { object, records: Array.from({ length: count }, (_, index) => recordOf(object, first + index)) }
  })
}

const connection = await connect(required('LOGIN_URL'))
endWith(() => Promise.resolve())

/** Sends groups in one composite call. @returns how many records were written */
async function sendPacked(groups: Group[]): Promise<number> {
  const { compositeResponse } = await connection.requestPost<CompositeAnswer>('/composite', {
    allOrNone: false,
    collateSubrequests: false,
    compositeRequest: groups.map((group, place) => ({
      method: 'POST',
      url: `/services/data/v${API_VERSION}/composite/sobjects`,
      referenceId: `group${place}`,
      body: {
        allOrNone: false,
        records: group.records.map((record) => ({ attributes: { type: group.object }, ...record })),
      },
    })),
  })
  return compositeResponse.flatMap(({ body }) => body).filter(({ success }) => success).length
}

/** Sends one group as a collection. @returns how many records were written */
async function sendSingly({ object, records }: Group): Promise<number> {
  const outcomes = await sendGroup(
    connection,
    records.map((record) => ({ object, type: 'create', externalIdField: null, record })),
  )
  return outcomes.filter(({ kind }) => kind === 'succeeded').length
}

const groups = makeGroups()
let next = 0
let calls = 0
let written = 0
const started = performance.now()
const sendAll = async (): Promise<void> => {
  while (next < groups.length) {
    const pack = groups.slice(next, next + packed)
    next += packed
    calls += 1
    const [only] = pack
    const count = packed === 1 && only !== undefined ? await sendSingly(only) : await sendPacked(pack)
    written += count
  }
}
await Promise.all(Array.from({ length: concurrency }, sendAll))
const seconds = (performance.now() - started) / 1000
if (written !== records) throw new Error(`${records - written} of ${records} records were refused`)
tell({ records, seconds, calls })
process.exit(0)
