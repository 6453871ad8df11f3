// A plugin for Stryker that leaves alone what people read: how an error or an event words things is nobody's contract, and a mutant of it says nothing about a test.

interface Path {
  readonly node: {
    readonly type: string
    readonly callee?: { readonly type: string; readonly name?: string }
    readonly key?: { readonly name?: string }
  }
  readonly parentPath: Path | null
  readonly listKey?: string
  readonly key: string | number | null
}

/** Calls that tell something, and the first of their arguments that is wording: before it stand codes and channels, which are contracts. */
const tellers = new Map([
  ['McpAuthError', 1],
  ['OAuthResponseError', 0],
  ['TypeError', 0],
  ['Error', 0],
  ['publish', 1],
  ['invalidOption', 1],
  ['refused', 0],
  ['missing', 0],
  ['absent', 0],
  ['unavailable', 0],
  ['unsafe', 1],
  ['conflict', 1],
  ['invalidKey', 0],
  ['notOurs', 0],
  ['noHelper', 0]
])
const texts = new Set(['StringLiteral', 'TemplateLiteral', 'ObjectExpression'])

function isWording(path: Path): boolean {
  for (let at = path; at.parentPath; at = at.parentPath) {
    const { node } = at.parentPath
    if (node.type === 'ObjectProperty' && node.key?.name === 'hint') return true
    if (/Function|ClassBody|Program/.test(node.type)) return false
    const first = node.callee?.type === 'Identifier' ? tellers.get(node.callee.name ?? '') : undefined
    if (first !== undefined) return at.listKey === 'arguments' && Number(at.key) >= first
  }
  return false
}

export const strykerPlugins = [
  {
    kind: 'Ignore',
    name: 'wording',
    value: {
      shouldIgnore: (path: Path) => (texts.has(path.node.type) && isWording(path) ? 'the wording of an error or an event' : undefined)
    }
  }
]
