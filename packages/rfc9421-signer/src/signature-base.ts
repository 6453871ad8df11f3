import { type BareItem, isInnerList, serializeDictionary, serializeInnerList, serializeItem, serializeList } from 'structured-headers'
import type { HttpMessage, RequestMessage } from './http-message.ts'
import { signatureInvalid } from './signature-error.ts'
import type { ComponentIdentifier, Refuse } from './signature-params.ts'
import { type FieldType, fieldTypeOf, parseFieldDictionary, parseFieldItem, parseFieldList } from './structured-fields.ts'

/**
 * A component that knows how to find its value in a message.
 *
 * @see RFC 9421 §2.1 (fields), §2.2 (derived components)
 */
export interface CoveredComponent extends ComponentIdentifier {
  /** Undefined: the message does not have it. */
  valueIn(message: HttpMessage): string | undefined
}

type Read = (message: HttpMessage) => string | undefined

/** Decides once how a component is found, so that a request does not have to. */
export function coverable(
  component: ComponentIdentifier,
  fieldTypes: Readonly<Record<string, FieldType>> | undefined,
  refuse: Refuse
): CoveredComponent {
  const read = component.name.startsWith('@') ? derivedReader(component, refuse) : fieldReader(component, fieldTypes, refuse)
  return { ...component, valueIn: component.parameters.has('req') ? fromRequest(read) : read }
}

/** `req`: the component of the request that a response answers (RFC 9421 §2.4). */
function fromRequest(read: Read): Read {
  return (message) => (message.kind === 'response' && message.request ? read(message.request) : undefined)
}

/**
 * The text that is signed (RFC 9421 §2.5).
 *
 * @param lines One per component, in the order of `params`, each with its line end.
 * @param params The value of `@signature-params`: the component list with its parameters.
 */
export function signatureBase(lines: string, params: string): Buffer {
  return Buffer.from(`${lines}"@signature-params": ${params}`, 'latin1')
}

const printableAscii = /^[\t\x20-\x7e]*$/

/**
 * One line of the signature base.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` the message does not have the component, or its value cannot be part of a signature base.
 */
export function baseLine(component: CoveredComponent, message: HttpMessage): string {
  return lineWriter(component)(message) ?? absent(component)
}

/** The component is not there, and it must be. */
export function absent({ text }: CoveredComponent): never {
  throw signatureInvalid(`${text}: not in the message`, 'cover only what every message has; withSignature takes componentsIfPresent')
}

/**
 * Writes the lines of one component for many messages; undefined where it is absent. Most of what an MCP client covers is the same from request to request, and
 * is not checked again.
 */
export function lineWriter(component: CoveredComponent): (message: HttpMessage) => string | undefined {
  const write = remembering((value) => lineOf(component, value))
  return (message) => {
    const value = component.valueIn(message)
    return value === undefined ? undefined : write(value)
  }
}

function lineOf({ name, text }: CoveredComponent, value: string): string {
  if (!printableAscii.test(value)) throw signatureInvalid(`${text}: holds bytes that are not ASCII`, `cover "${name}";bs in its place`)
  return `${text}: ${value}\n`
}

/** Keeps what the last text became. */
function remembering<T>(work: (text: string) => T): (text: string) => T {
  let last: { text: string; result: T } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, result: work(text) }
    return last.result
  }
}

type Derive = (request: RequestMessage) => string

const derivedFromRequest: Readonly<Record<string, Derive>> = {
  '@method': ({ method }) => method,
  '@target-uri': ({ scheme, authority, target }) => `${scheme}://${authority}${target}`,
  '@authority': ({ authority }) => authority,
  '@scheme': ({ scheme }) => scheme,
  '@request-target': ({ target }) => target,
  '@path': ({ target }) => pathOf(target),
  '@query': ({ target }) => `?${queryOf(target) ?? ''}`
}

function derivedReader({ name, parameters }: ComponentIdentifier, refuse: Refuse): Read {
  if (name === '@status') return (message) => (message.kind === 'response' ? String(message.status) : undefined)
  if (name === '@query-param') return onRequest(queryParameter(parameters.get('name') as string))
  const derive = Object.hasOwn(derivedFromRequest, name) ? derivedFromRequest[name] : undefined
  if (!derive) throw refuse(`${name} is not a derived component of RFC 9421`)
  return onRequest(derive)
}

function onRequest(derive: (request: RequestMessage) => string | undefined): Read {
  return (message) => (message.kind === 'request' ? derive(message) : undefined)
}

function pathOf(target: string): string {
  const end = target.indexOf('?')
  const path = end === -1 ? target : target.slice(0, end)
  return path === '' ? '/' : path
}

function queryOf(target: string): string | undefined {
  const start = target.indexOf('?')
  return start === -1 ? undefined : target.slice(start + 1)
}

/**
 * A parameter that occurs twice must not be covered by name: a verifier could not tell which was meant (RFC 9421 §2.2.8).
 *
 * @param name As it stands in the identifier: encoded.
 */
function queryParameter(name: string): (request: RequestMessage) => string | undefined {
  return ({ target }) => {
    const found = [...new URLSearchParams(queryOf(target) ?? '')].filter(([candidate]) => formEncoded(candidate) === name)
    if (found.length > 1) throw signatureInvalid('@query-param: occurs more than once in the query', 'cover "@query" in its place')
    return found[0] && formEncoded(found[0][1])
  }
}

/** WHATWG's percent-encoding for forms, with %20 for a space. `URLSearchParams` has made every text well-formed before. */
function formEncoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function fieldReader(
  { name, parameters }: ComponentIdentifier,
  fieldTypes: Readonly<Record<string, FieldType>> | undefined,
  refuse: Refuse
): Read {
  if (parameters.has('bs')) return (message) => message.fields(name)?.map(wrapped).join(', ')
  const key = parameters.get('key')
  if (typeof key === 'string') return onField(name, (text) => memberOf(name, text, key))
  if (!parameters.has('sf')) return (message) => combined(message.fields(name))
  const type = fieldTypeOf(name, fieldTypes)
  if (type === undefined) throw refuse(`${name}: its structured type is not registered; give it in fieldTypes`)
  return onField(name, (text) => strict[type](name, text))
}

function onField(name: string, read: (text: string) => string | undefined): Read {
  const remembered = remembering(read)
  return (message) => {
    const text = combined(message.fields(name))
    return text === undefined ? undefined : remembered(text)
  }
}

/** RFC 9421 §2.1: each line without surrounding whitespace, folds undone, joined by comma and space. */
function combined(values: readonly string[] | undefined): string | undefined {
  if (values === undefined) return undefined
  return values.length === 1 ? trimmed(values[0] as string) : values.map(trimmed).join(', ')
}

function trimmed(value: string): string {
  return value.includes('\n')
    ? value
        .split(/\r?\n(?=[ \t])/)
        .map(withoutOuterSpace)
        .join(' ')
    : withoutOuterSpace(value)
}

/** Spaces and tabs only, as HTTP has it: `trim` would also take a no-break space, which is a byte of the field. */
function withoutOuterSpace(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isSpace(value.charCodeAt(start))) start += 1
  while (end > start && isSpace(value.charCodeAt(end - 1))) end -= 1
  return start === 0 && end === value.length ? value : value.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** RFC 9421 §2.1.3: the bytes of one line. A header's text is one byte a character on the wire. */
function wrapped(value: string): string {
  return `:${Buffer.from(trimmed(value), 'latin1').toString('base64')}:`
}

/** RFC 9421 §2.1.2: one member of a dictionary, serialised strictly. */
function memberOf(name: string, text: string, key: string): string | undefined {
  const member = parseFieldDictionary(name, text).get(key)
  if (member === undefined) return undefined
  return serialised(name, () => (isInnerList(member) ? serializeInnerList(member) : serializeItem(member)))
}

/** RFC 9421 §2.1.1: the whole field, serialised strictly. */
const strict: Readonly<Record<FieldType, (name: string, text: string) => string>> = {
  dictionary: (name, text) => serialised(name, () => serializeDictionary(parseFieldDictionary(name, text))),
  list: (name, text) => serialised(name, () => serializeList(parseFieldList(name, text))),
  item: (name, text) => serialised(name, () => serializeItem(parseFieldItem(name, text)))
}

/** What was parsed can be serialised again; should the library see it differently for some text, that is still this message's fault and not a crash. */
function serialised(name: string, write: () => string): string {
  try {
    return write()
  } catch {
    throw signatureInvalid(`${name}: not a well-formed structured field`)
  }
}

/** A byte sequence of a structured field. */
export function bytesOf(value: BareItem): Uint8Array | undefined {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined
}
