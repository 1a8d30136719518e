import fc from 'fast-check'

/*
 * JSON as a tree that is printed by hand, so that it can be what no value is: members given twice, numbers
 * that no double holds, names that every object has.
 */

/** A JSON value on its way to a text; `raw` is printed as it is. */
export type Node =
  string | number | boolean | null | { raw: string } | { list: Node[] } | { members: [string, Node][] }

const isTree = (node: Node): node is { list: Node[] } | { members: [string, Node][] } =>
  typeof node === 'object' && node !== null && !('raw' in node)

export function print(node: Node): string {
  if (!isTree(node)) return typeof node === 'object' && node !== null ? node.raw : JSON.stringify(node)
  if ('list' in node) return `[${node.list.map(print).join(',')}]`
  return `{${node.members.map(([name, value]) => `${JSON.stringify(name)}:${print(value)}`).join(',')}}`
}

/** The tree of a JSON value. */
export function toNode(value: unknown): Node {
  if (Array.isArray(value)) return { list: value.map(toNode) }
  if (typeof value === 'object' && value !== null)
    return { members: Object.entries(value).map(([name, member]) => [name, toNode(member)]) }
  return value as Node
}

/** Names that every object has, or that readers of JSON have stumbled over. */
export const dangerousNames = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'toJSON',
  'then',
  'length',
  '$ref',
  '',
  'Id',
  'id',
  'attributes',
]

const oddTexts = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  'x\udfff',
  '\u202etxt.exe\u202c',
  'e\u0301\u0301\u0301\u0301',
  '👩‍👩‍👧‍👦',
  '\ufeff',
  '\u2028',
  "'; drop table write; --",
  "x' OR Name LIKE '%",
  "\\'; select pg_sleep(10); --",
  '../../../etc/passwd',
  '..%2f..%2fadmin',
  'FALSE\r\nX-Evil: 1',
  '\r\n\r\n{}',
  '{{name}}',
  '{{__proto__}}',
  '{{constructor}}',
  '<script>alert(1)</script>',
  '${jndi:ldap://127.0.0.1/x}',
  'null',
  '1e400',
  'http://169.254.169.254/latest/meta-data',
  '003RM000006EncrYAC',
]

/** Texts that somebody would send to break something. */
export const oddText: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...oddTexts, ...dangerousNames) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.nat(7).map((power) => 'x'.repeat(4 ** power)) },
)

const oddNumber: fc.Arbitrary<Node> = fc.oneof(
  fc.constantFrom<Node[]>(0, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 5e-324),
  fc
    .constantFrom('9007199254740993', '1e400', '-1e400', '123456789012345678901234567890', '-0', '1E+2')
    .map((raw) => ({ raw })),
)

const nest = (depth: number, isList: boolean): Node => ({
  raw: isList ? '['.repeat(depth) + ']'.repeat(depth) : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
})

const nested = fc
  .tuple(fc.integer({ min: 1, max: 200 }), fc.boolean())
  .map(([depth, isList]) => nest(depth, isList))
const pairs = fc.tuple(oddText, oddText).map(([a, b]): Node => ({ list: [a, { members: [[b, a]] }] }))
const inherited = fc
  .constantFrom(...dangerousNames)
  .map((name): Node => ({ members: [[name, { members: [['x', 1]] }]] }))

/** A value that is seldom what belongs in its place. */
export const oddNode: fc.Arbitrary<Node> = fc.oneof<fc.MaybeWeightedArbitrary<Node>[]>(
  { weight: 5, arbitrary: oddText },
  { weight: 3, arbitrary: oddNumber },
  { weight: 3, arbitrary: fc.constantFrom<Node[]>(null, true, false, { list: [] }, { members: [] }) },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: pairs },
  { weight: 1, arbitrary: inherited },
)

/** One change of a tree; `at` picks the place. */
export interface Mutation {
  kind: 'replace' | 'remove' | 'add' | 'twice' | 'rename' | 'wrap'
  at: number
  name: string
  node: Node
}

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom<Mutation['kind'][]>('replace', 'remove', 'add', 'twice', 'rename', 'wrap'),
  at: fc.nat(1_000),
  name: fc.oneof(fc.constantFrom(...dangerousNames), oddText),
  node: oddNode,
})

/** A place in a tree: an entry of a list or of an object. */
interface Place {
  owner: { list: Node[] } | { members: [string, Node][] }
  index: number
}

function placesOf(node: Node, found: Place[] = []): Place[] {
  if (!isTree(node)) return found
  const inner = 'list' in node ? node.list : node.members.map(([, value]) => value)
  inner.forEach((value, index) => {
    found.push({ owner: node, index })
    placesOf(value, found)
  })
  return found
}

const copy = (node: Node): Node =>
  !isTree(node)
    ? node
    : 'list' in node
      ? { list: node.list.map(copy) }
      : { members: node.members.map(([name, value]) => [name, copy(value)]) }

/** A tree with the mutations made in it, one after the other; the tree given is not changed. */
export function mutate(tree: Node, mutations: Mutation[]): Node {
  const root: { list: Node[] } = { list: [copy(tree)] }
  for (const { kind, at, name, node: given } of mutations) {
    const node = copy(given)
    const places = placesOf(root)
    const { owner, index } = places[at % places.length]!
    if ('list' in owner) {
      const old = owner.list[index]!
      if (kind === 'add' && isTree(old) && 'members' in old) old.members.push([name, node])
      else if (kind === 'wrap') owner.list[index] = { list: [old] }
      else if (owner !== root && kind === 'remove') owner.list.splice(index, 1)
      else if (owner !== root && kind === 'twice') owner.list.push(copy(old))
      else owner.list[index] = node
    } else {
      const [oldName, old] = owner.members[index]!
      if (kind === 'add') owner.members.push([name, node])
      else if (kind === 'remove') owner.members.splice(index, 1)
      else if (kind === 'twice') owner.members.push([oldName, node])
      else if (kind === 'rename') owner.members[index] = [name, old]
      else owner.members[index] = [oldName, kind === 'wrap' ? { members: [[oldName, old]] } : node]
    }
  }
  return root.list[0]!
}
