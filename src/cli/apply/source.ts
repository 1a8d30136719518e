import { readFile } from 'node:fs/promises'
import { text as textOf } from 'node:stream/consumers'
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Document,
  type Node,
} from 'yaml'
import { messageOf } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import type { Host } from '../process.ts'

/** One document of a set-up file. */
export interface Source {
  /** As it was named, `standard input` for `-`. */
  file: string
  value: unknown
  /** The line of what a JSON pointer names, or of what is nearest around it. */
  lineOf: (pointer: string) => number
  /** Pointers of texts that hold variables, whose values may be secret. */
  substituted: ReadonlySet<string>
}

/** Something that is wrong, with where. */
export interface SetupIssue {
  file: string
  line: number
  /** JSON pointer; empty for the document as a whole. */
  path: string
  message: string
}

/** An issue as people are told it. */
export const sayIssue = ({ file, line, path, message }: SetupIssue): string =>
  `${file}:${line}: ${path === '' ? '' : `${path} `}${message}`

/** Reads a file of YAML or JSON, of one document or several; what is wrong with it is noted, all at once. */
export async function readSources(
  file: string,
  { env, stdin }: Pick<Host, 'env' | 'stdin'>,
  issues: SetupIssue[],
): Promise<Source[]> {
  const shown = file === '-' ? 'standard input' : file
  let text: string
  try {
    text = file === '-' ? await textOf(stdin) : await readFile(file, 'utf8')
  } catch (error) {
    issues.push({ file: shown, line: 1, path: '', message: `cannot be read: ${messageOf(error)}` })
    return []
  }
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, version: '1.2', prettyErrors: false })
  if (!Array.isArray(documents)) {
    issues.push({ file: shown, line: 1, path: '', message: 'is empty' })
    return []
  }
  return documents.flatMap((document: Document.Parsed) => {
    const faults = [...document.errors, ...document.warnings]
    for (const { message, pos } of faults)
      issues.push({ file: shown, line: lines.linePos(pos[0]).line, path: '', message: firstLine(message) })
    if (faults.length > 0) return []
    const lineOf = (pointer: string): number => lineIn(document, lines, pointer)
    try {
      return [substitute({ file: shown, value: document.toJS() as unknown, lineOf }, env, issues)]
    } catch (error) {
      issues.push({ file: shown, line: 1, path: '', message: firstLine(messageOf(error)) })
      return []
    }
  })
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

/** Follows the pointer as far as the document goes. */
function lineIn(document: Document, lines: LineCounter, pointer: string): number {
  let node: unknown = document.contents
  let offset = offsetOf(node) ?? 0
  for (const part of pointer.split('/').slice(1).map(unescaped)) {
    if (isAlias(node)) node = node.resolve(document)
    const found = isMap(node)
      ? node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === part)
      : undefined
    const child: unknown =
      found !== undefined ? found.value : isSeq(node) ? node.items[Number(part)] : undefined
    if (found === undefined && child === undefined) break
    // A field is where its name is.
    offset = offsetOf(found?.key ?? child) ?? offset
    node = child
  }
  return lines.linePos(offset).line
}

const offsetOf = (node: unknown): number | undefined => (node as Node | null)?.range?.[0]

const unescaped = (part: string): string => part.replaceAll('~1', '/').replaceAll('~0', '~')

/** Puts the values of variables in the place of their names, in every text. */
function substitute(
  source: Omit<Source, 'substituted'>,
  env: NodeJS.ProcessEnv,
  issues: SetupIssue[],
): Source {
  const substituted = new Set<string>()
  const inText = (text: string, pointer: string): string =>
    text.replaceAll(
      /\$\$\{|\$\{([^}]*)(\}?)/g,
      (whole, name: string | undefined, end: string | undefined) => {
        if (whole === '$${') return '${'
        const issue = variableIssue(name ?? '', end === '}', env)
        if (issue !== null)
          issues.push({ file: source.file, line: source.lineOf(pointer), path: pointer, message: issue })
        substituted.add(pointer)
        return env[name ?? ''] ?? ''
      },
    )
  const walk = (value: unknown, pointer: string): unknown => {
    if (typeof value === 'string') return inText(value, pointer)
    if (Array.isArray(value)) return value.map((item, index) => walk(item, pointerTo(pointer, index)))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, walk(item, pointerTo(pointer, key))]),
    )
  }
  return { ...source, value: walk(source.value, ''), substituted }
}

function variableIssue(name: string, isClosed: boolean, env: NodeJS.ProcessEnv): string | null {
  if (!isClosed || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return 'must name a variable as ${NAME}; write $${ for the characters themselves'
  if (env[name] === undefined) return `needs the variable ${name}, which is not set`
  return env[name] === '' ? `needs the variable ${name}, which is empty` : null
}
