import { type ParsedUrlQueryInput, stringify } from 'node:querystring'
import { type DispatchOptions, headerPairs } from '@mcpauth/core'

/** The values of a field in the order of their lines; undefined when the message has none. `name` in lower case. */
type Fields = (name: string) => readonly string[] | undefined

/** A request, as far as a signature can see it. */
export interface RequestMessage {
  readonly kind: 'request'
  readonly method: string
  /** Lower case. */
  readonly scheme: string
  /** Lower case, without the scheme's default port. */
  readonly authority: string
  /** Path and query, exactly as sent. */
  readonly target: string
  readonly fields: Fields
}

/** A response, with the request it answers where that is known. */
export interface ResponseMessage {
  readonly kind: 'response'
  readonly status: number
  readonly fields: Fields
  readonly request?: RequestMessage | undefined
}

/** What is signed or verified. */
export type HttpMessage = RequestMessage | ResponseMessage

/**
 * A lookup over headers in any form undici or node hands out. A plain object, which is what fetch hands out, is looked through as it is: a signature asks for few
 * fields, and a table of all of them costs more than the looking.
 */
export function fieldsOf(headers: unknown): Fields {
  if (isPlainObject(headers)) return (name) => valuesIn(headers, name)
  let table: Map<string, string[]> | undefined
  return (name) => {
    table ??= tableOf(headers)
    return table.get(name)
  }
}

function isPlainObject(headers: unknown): headers is Record<string, unknown> {
  return typeof headers === 'object' && headers !== null && !Array.isArray(headers) && !(Symbol.iterator in headers)
}

function valuesIn(headers: Record<string, unknown>, name: string): string[] | undefined {
  let found: string[] | undefined
  for (const key in headers) {
    if (key.length !== name.length || (key !== name && key.toLowerCase() !== name) || !Object.hasOwn(headers, key)) continue
    const value = headers[key]
    if (value === undefined) continue
    found ??= []
    if (Array.isArray(value)) found.push(...value.map(String))
    else found.push(String(value))
  }
  return found
}

function tableOf(headers: unknown): Map<string, string[]> {
  const table = new Map<string, string[]>()
  for (const [name, value] of headerPairs(headers)) {
    const key = name.toLowerCase()
    const values = table.get(key)
    if (values) values.push(...[value].flat())
    else table.set(key, [value].flat())
  }
  return table
}

/** The authority of a `Host` header or a URL in its normal form (RFC 9421 §2.2.3); undefined when it is none. */
export function normalAuthority(host: string, scheme: string): string | undefined {
  const text = `${scheme}://${host.trim()}`
  if (/[/?#@\\\s]/.test(host.trim()) || !URL.canParse(text)) return undefined
  return new URL(text).host
}

/**
 * A request as undici will write it: with its `query` in the path. undici's own serialiser is node's `querystring`; written into the path here, nothing can
 * differ between what is signed and what is sent.
 */
export function withQueryInPath(options: DispatchOptions): DispatchOptions {
  const { query, ...rest } = options
  if (!query || /[?#]/.test(options.path)) return options
  const text = stringify(query as ParsedUrlQueryInput)
  return { ...rest, path: text === '' ? options.path : `${options.path}?${text}` }
}
