import { createSecretMatcher, type SecretMatcher } from './secret-matcher.ts'

/** The secrets this program has read, as closures and never as a readable list. */
export interface SecretRegistry {
  /**
   * Remembers a secret, so that it can be taken out of what is printed: as it is, as base64, base64url or hex, percent-encoded and JSON-escaped.
   * The longer lines of a secret of several lines (a PEM key) are remembered one by one too.
   * Fewer than 8 characters, or one character over and over, are not taken: a redactor that eats ordinary words helps nobody.
   * The 4,096 last ones are kept; when there are more, one with the same label goes first, so that rotated tokens never push out a client secret.
   *
   * @param label What stands in its place: `[REDACTED:label]`. Never a secret itself.
   * @param owner Whose it is, for a secret that is replaced from time to time, such as a server's URL for its tokens. Of one owner and label the 8 last ones are
   * kept: a process that refreshes for weeks does not grow. Absent: it is kept whatever follows it.
   */
  add(secret: string, label?: string, owner?: string): void
  /** Replaces every remembered secret in `text`, whatever form it has. Takes time linear in the text, however many secrets there are. */
  redact(text: string): string
}

/** Values that look like secrets and are none: the literal headers a user wrote into the program. Shared like the secrets. */
export interface LiteralRegistry {
  /** The 1,024 last ones are kept. */
  add(value: string): void
  has(value: string): boolean
}

const minimumLength = 8
const minimumLine = 16
const secretCapacity = 4_096
/** Of one owner: the secret in use, and those that a request still on its way may bring back. */
const rotationCapacity = 8
const literalCapacity = 1_024

/** The registry of this program. It hangs on the global object under a registered symbol, so that two copies of this package share it. */
export const secrets: SecretRegistry = shared('mcpauth.secrets.1', createSecretRegistry)

/** The literals of this program, shared in the same way. A registered secret is a secret all the same. */
export const literals: LiteralRegistry = shared('mcpauth.literals.1', createLiteralRegistry)

function shared<T>(name: string, create: () => T): T {
  const key = Symbol.for(name)
  const global = globalThis as Record<symbol, unknown>
  if (global[key] === undefined) Object.defineProperty(global, key, { value: create() })
  return global[key] as T
}

/** What is known about one secret. */
interface Entry {
  readonly label: string
  /** Takes it out of the matcher; absent until it is in there. */
  leave?: () => void
  /** Somebody named no owner: it does not go when it is replaced. */
  lasting: boolean
  /** Where it is one of the last. */
  readonly rotations: Set<Rotation>
}

/** The last secrets of one owner and label, oldest first. */
interface Rotation {
  readonly name: string
  readonly secrets: Set<string>
}

/** Makes a registry of its own. Programs use {@link secrets}. */
export function createSecretRegistry(capacity: number = secretCapacity): SecretRegistry {
  // Most programs send a token and print nothing: the matcher is made, and a secret's forms are written, when a text is first looked through.
  let matcher: SecretMatcher | undefined
  const waiting = new Map<string, Entry>()
  const entries = new Map<string, Entry>()
  /** By label, oldest first. */
  const groups = new Map<string, Set<string>>()
  const rotations = new Map<string, Rotation>()

  function add(secret: string, label = '', owner?: string): void {
    if (typeof secret !== 'string' || !isLongEnough(secret)) return
    const entry = entries.get(secret) ?? remember(secret, label)
    moveToEnd(groups.get(entry.label) as Set<string>, secret)
    if (owner === undefined) entry.lasting = true
    else rotate(secret, entry, `${label}\n${owner}`)
  }

  function remember(secret: string, label: string): Entry {
    if (entries.size >= capacity) forgetOne(label)
    const entry: Entry = { label, lasting: false, rotations: new Set() }
    entries.set(secret, entry)
    waiting.set(secret, entry)
    if (!groups.has(label)) groups.set(label, new Set())
    return entry
  }

  /** What is replaced often enough is forgotten, unless it is somebody else's as well. */
  function rotate(secret: string, entry: Entry, name: string): void {
    const rotation = rotations.get(name) ?? { name, secrets: new Set() }
    rotations.set(name, rotation)
    entry.rotations.add(rotation)
    moveToEnd(rotation.secrets, secret)
    if (rotation.secrets.size <= rotationCapacity) return
    const oldest = firstOf(rotation.secrets)
    const replaced = entries.get(oldest) as Entry
    rotation.secrets.delete(oldest)
    replaced.rotations.delete(rotation)
    if (!replaced.lasting && replaced.rotations.size === 0) forget(oldest, replaced)
  }

  function forgetOne(label: string): void {
    const own = groups.get(label)
    const crowd = own && own.size > capacity / (groups.size + 1) ? own : largestOf(groups)
    const oldest = firstOf(crowd)
    forget(oldest, entries.get(oldest) as Entry)
  }

  function forget(secret: string, entry: Entry): void {
    waiting.delete(secret)
    entry.leave?.()
    entries.delete(secret)
    const group = groups.get(entry.label) as Set<string>
    group.delete(secret)
    if (group.size === 0) groups.delete(entry.label)
    for (const rotation of entry.rotations) {
      rotation.secrets.delete(secret)
      if (rotation.secrets.size === 0) rotations.delete(rotation.name)
    }
  }

  function matcherOfAll(): SecretMatcher {
    const all = matcher ?? createSecretMatcher()
    matcher = all
    for (const [secret, entry] of waiting) {
      const replacement = replacementOf(entry.label)
      const leaves = [...new Set([secret, ...longLines(secret)])].map((part) => all.add(part, replacement))
      entry.leave = () => {
        for (const leave of leaves) leave()
      }
    }
    waiting.clear()
    return all
  }

  function redact(text: string): string {
    const found = matcherOfAll().find(text)
    if (found.length === 0) return text
    let result = ''
    let at = 0
    for (let i = 0; i < found.length; ) {
      // Secrets that overlap or touch inside one another become one replacement, that of the first and longest.
      const { start, replacement } = found[i] as (typeof found)[number]
      let end = 0
      for (; i < found.length && (end === 0 || (found[i] as (typeof found)[number]).start < end); i++) {
        end = Math.max(end, (found[i] as (typeof found)[number]).end)
      }
      result += text.slice(at, start) + replacement
      at = end
    }
    return result + text.slice(at)
  }

  return Object.freeze({ add, redact })
}

/** A label is made so that it can stand in JSON and on a terminal. */
function replacementOf(label: string): string {
  const word = label.replace(/[^\w .-]+/g, '_').slice(0, 40)
  return word === '' ? '[REDACTED]' : `[REDACTED:${word}]`
}

function isLongEnough(secret: string): boolean {
  return secret.length >= minimumLength && !/^(.)\1*$/s.test(secret)
}

/** A log writes a key line by line, with something before each; the lines that every key has say nothing. */
function longLines(secret: string): string[] {
  return secret.split(/\r?\n/).filter((line) => line.length >= minimumLine && isLongEnough(line) && !line.startsWith('-----'))
}

function largestOf(groups: ReadonlyMap<string, Set<string>>): Set<string> {
  let largest: Set<string> | undefined
  for (const group of groups.values()) if (!largest || group.size > largest.size) largest = group
  return largest as Set<string>
}

function firstOf(set: Set<string>): string {
  return set.values().next().value as string
}

/** What is used again is the last to go. */
function moveToEnd(set: Set<string>, secret: string): void {
  set.delete(secret)
  set.add(secret)
}

function createLiteralRegistry(): LiteralRegistry {
  const known = new Set<string>()

  function add(value: string): void {
    known.delete(value)
    known.add(value)
    if (known.size > literalCapacity) known.delete(known.values().next().value as string)
  }

  return Object.freeze({ add, has: (value: string) => known.has(value) })
}
