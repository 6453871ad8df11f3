import { headerPairs, literals } from '@mcpauth/core'
import type { Rules } from './rules.ts'
import { headerKind, isCredentialHeader, isSecretKey, isSensitiveHeader } from './secret-names.ts'
import { isWrittenNumber } from './written-number.ts'

/** What the redaction of a value is made of. */
export interface ValueRedaction {
  readonly rules: Rules
  readonly redactText: (text: string) => string
  readonly redactUrl: (url: string | URL) => string
}

const hidden = '[REDACTED]'
const maxDepth = 64

/** A copy of headers in any form, names as written; a server can make a name of a secret too. */
export function redactHeaders(headers: unknown, { rules, redactText }: ValueRedaction): Record<string, string | string[]> {
  return copyOfHeaders(headers, rules, redactText)
}

/** The same for what is going to be redacted as a text anyway: values are hidden by the names of their headers only. */
export function hideNamedHeaders(headers: unknown, rules: Rules): Record<string, string | string[]> {
  return copyOfHeaders(headers, rules, (text) => text)
}

function copyOfHeaders(headers: unknown, rules: Rules, redactText: (text: string) => string): Record<string, string | string[]> {
  const redacted: Record<string, string | string[]> = {}
  for (const [written, value] of headerPairs(headers)) {
    const name = redactText(written)
    const safe = headerValue(written, value, rules, redactText)
    setOwn(redacted, name, Object.hasOwn(redacted, name) ? [redacted[name] as string | string[], safe].flat() : safe)
  }
  return redacted
}

function headerValue(name: string, value: string | string[], rules: Rules, redactText: (text: string) => string): string | string[] {
  const kind = headerKind(name)
  if (kind === 'sensitive' && rules.sensitiveHeaders(name)) return hidden
  const safe = (text: string): string => {
    // A literal is what the user wrote into the program; a registered secret is a secret wherever it stands.
    return kind === 'credential' && rules.credentialHeaders(name) && !literals.has(text) ? hidden : redactText(text)
  }
  return Array.isArray(value) ? value.map(safe) : safe(value)
}

/**
 * A copy of anything, without secrets: own enumerable properties of objects, items of arrays, maps and sets, headers, URLs, errors with their causes.
 * Cycles stay cycles. Bytes, functions and what cannot be looked into become a word that says what they were.
 */
export function redactValue(value: unknown, redaction: ValueRedaction): unknown {
  return copyOf(value, { ...redaction, seen: new Map(), depth: 0 })
}

/** A plain Error with the name, message, stack, cause and own properties of the given one, without secrets. */
export function redactError(error: unknown, redaction: ValueRedaction): Error {
  const context: Context = { ...redaction, seen: new Map(), depth: 0 }
  if (error instanceof Error || isErrorLike(error)) return copyOfError(error, context)
  return new Error(typeof error === 'string' ? redaction.redactText(error) : `a thrown ${typeof error}`)
}

interface Context extends ValueRedaction {
  readonly seen: Map<object, unknown>
  readonly depth: number
  /** Inside of what stands under a secret key: no text is shown. */
  readonly underSecret?: boolean
}

function copyOf(value: unknown, context: Context): unknown {
  if (typeof value === 'string') return context.underSecret && value !== '' ? hidden : context.redactText(value)
  if (typeof value === 'function') return `[Function: ${context.redactText(value.name)}]`
  if (typeof value === 'symbol') return context.redactText(String(value))
  if (typeof value !== 'object' || value === null) return value
  if (context.seen.has(value)) return context.seen.get(value)
  if (context.depth >= maxDepth) return '[too deep]'
  try {
    return copyOfObject(value, { ...context, depth: context.depth + 1 })
  } catch {
    // A getter or a proxy that throws: what it threw may hold anything.
    return '[unreadable]'
  }
}

function copyOfObject(value: object, context: Context): unknown {
  if (value instanceof Error || isErrorLike(value)) return copyOfError(value as Error, context)
  if (Array.isArray(value)) return copyOfArray(value, context)
  // Its properties are its characters.
  if (value instanceof String) return copyOf(String(value), context)
  if (value instanceof Map) return copyOfMap(value, context)
  if (value instanceof Set) return copyOfSet(value, context)
  if (value instanceof Date) return new Date(value)
  if (isWrittenNumber(value)) return value
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${kindOf(value)}: ${value.byteLength} bytes]`
  return copyOfWebObject(value, context) ?? copyOfProperties(value, {}, context)
}

/** Known by their tags, because undici's own are not the global ones. */
function copyOfWebObject(value: object, context: Context): unknown {
  switch (kindOf(value)) {
    case 'Headers':
      return redactHeaders(value, context)
    case 'URL':
      return context.redactUrl(String(value))
    case 'URLSearchParams':
      return context.redactUrl(`?${value}`).slice(1)
    case 'Request': {
      const { method, url, headers } = value as Request
      return { method, url: context.redactUrl(url), headers: redactHeaders(headers, context) }
    }
    case 'Response': {
      const { status, url, headers } = value as Response
      return { status, url: context.redactUrl(url), headers: redactHeaders(headers, context) }
    }
    case 'Promise':
    case 'WeakMap':
    case 'WeakSet':
    case 'WeakRef':
      return `[${kindOf(value)}]`
    default:
      return undefined
  }
}

function copyOfArray(value: readonly unknown[], context: Context): unknown[] {
  const copy: unknown[] = []
  context.seen.set(value, copy)
  for (let i = 0; i < value.length; i++) {
    // Raw headers are flat lists of names and values.
    const name = i > 0 ? value[i - 1] : undefined
    copy.push(typeof name === 'string' && isHeaderOfSecret(name, context.rules) ? copyUnder(value[i], context) : copyOf(value[i], context))
  }
  return copy
}

function isHeaderOfSecret(name: string, rules: Rules): boolean {
  return (
    (isSensitiveHeader(name) && rules.sensitiveHeaders(name)) ||
    (name.includes('-') && isCredentialHeader(name) && rules.credentialHeaders(name))
  )
}

function copyOfMap(value: ReadonlyMap<unknown, unknown>, context: Context): Map<unknown, unknown> {
  const copy = new Map<unknown, unknown>()
  context.seen.set(value, copy)
  for (const [key, item] of value)
    copy.set(copyOf(key, context), typeof key === 'string' ? copyAt(key, item, context) : copyOf(item, context))
  return copy
}

function copyOfSet(value: ReadonlySet<unknown>, context: Context): Set<unknown> {
  const copy = new Set<unknown>()
  context.seen.set(value, copy)
  for (const item of value) copy.add(copyOf(item, context))
  return copy
}

function copyOfError(error: Error, context: Context): Error {
  const seen = context.seen.get(error)
  if (seen) return seen as Error
  const copy = new Error(context.redactText(String(error.message)))
  context.seen.set(error, copy)
  hide(copy, 'name', context.redactText(String(error.name)))
  hide(copy, 'stack', typeof error.stack === 'string' ? context.redactText(error.stack) : undefined)
  if ('cause' in error) hide(copy, 'cause', copyOf(error.cause, context))
  if ('errors' in error) hide(copy, 'errors', copyOf(error.errors, context))
  return copyOfProperties(error, copy, context, ['name', 'message', 'stack', 'cause', 'errors']) as Error
}

function copyOfProperties(value: object, copy: object, context: Context, except: readonly string[] = []): object {
  context.seen.set(value, copy)
  const properties = value as Record<string, unknown>
  const ofSecret = isPairOfSecret(properties, context.rules)
  for (const key of Object.keys(value)) {
    if (except.includes(key)) continue
    const item = properties[key]
    setOwn(copy, context.redactText(key), ofSecret && key === 'value' ? copyUnder(item, context) : copyAt(key, item, context))
  }
  return copy
}

/** `{ name: 'API_TOKEN', value: '…' }`: headers in a HAR file, the environment of a container. */
function isPairOfSecret({ name, key, value }: Readonly<Record<string, unknown>>, rules: Rules): boolean {
  const label = name ?? key
  if (value === undefined || typeof label !== 'string') return false
  return isHeaderOfSecret(label, rules) || (isSecretKey(label) && rules.secretKeys(label))
}

function copyAt(key: string, value: unknown, context: Context): unknown {
  if (isSensitiveHeader(key)) return context.rules.sensitiveHeaders(key) ? copyUnder(value, context) : copyOf(value, context)
  return isSecretKey(key) && context.rules.secretKeys(key) ? copyUnder(value, context) : copyOf(value, context)
}

/** What stands under a secret key. The shape of an object is kept, and no text in it. */
function copyUnder(value: unknown, context: Context): unknown {
  if (value === null || value === undefined || typeof value === 'boolean' || value === '') return value
  if (Array.isArray(value)) return value.map((item) => copyUnder(item, context))
  if (typeof value !== 'object' || ArrayBuffer.isView(value)) return hidden
  return copyOf(value, { ...context, underSecret: !isSchema(value) })
}

/** A JSON schema has a property named `password` too, and says what it is. */
function isSchema(value: object): boolean {
  const { type } = value as { type?: unknown }
  return schemaTypes.has(String(type)) || schemaWords.some((word) => Object.hasOwn(value, word))
}

const schemaTypes: ReadonlySet<string> = new Set(['array', 'boolean', 'integer', 'null', 'number', 'object', 'string'])
const schemaWords = ['$ref', 'properties', 'enum', 'const', 'anyOf', 'oneOf', 'allOf']

function isErrorLike(value: unknown): value is Error {
  return kindOf(value) === 'Error' || kindOf(value) === 'DOMException'
}

function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

function hide(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, configurable: true, writable: true })
}

/** `__proto__` is a name like any other here. */
function setOwn(target: object, key: string, value: unknown): void {
  if (key !== '__proto__') {
    ;(target as Record<string, unknown>)[key] = value
    return
  }
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
}
