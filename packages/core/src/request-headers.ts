import type { DispatchOptions } from './interceptor.ts'

/** Headers of one request as pairs, in order, names as written. */
export type HeaderPairs = Array<[name: string, value: string | string[]]>

/**
 * Reads the headers of a dispatch in any of the forms undici takes: an object, a flat array, `Headers`, a `Map`, or pairs.
 * Values that are neither a string nor an array of strings are turned into strings, as undici does.
 */
export function headerPairs(headers: unknown): HeaderPairs {
  if (headers === null || headers === undefined) return []
  if (Array.isArray(headers)) {
    if (Array.isArray(headers[0])) return headers.map(([name, value]) => [String(name), textOf(value)])
    const pairs: HeaderPairs = []
    for (let i = 0; i + 1 < headers.length; i += 2) pairs.push([String(headers[i]), textOf(headers[i + 1])])
    return pairs
  }
  if (typeof (headers as Iterable<unknown>)[Symbol.iterator] === 'function') {
    return Array.from(headers as Iterable<[string, unknown]>, ([name, value]) => [String(name), textOf(value)])
  }
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, textOf(value)] as [string, string | string[]]]
  )
}

function textOf(value: unknown): string | string[] {
  return Array.isArray(value) ? value.map(itemText) : itemText(value)
}

/** undici sends null as an empty value. */
function itemText(value: unknown): string {
  return value === null ? '' : String(value)
}

/** The value of a header, several joined by `, ` (RFC 9110 §5.3); undefined when it is absent. `name` in lower case. */
export function headerValue(headers: unknown, name: string): string | undefined {
  const found: string[] = []
  for (const [key, value] of headerPairs(headers)) {
    if (key.length === name.length && key.toLowerCase() === name) found.push(...(Array.isArray(value) ? value : [value]))
  }
  return found.length === 0 ? undefined : found.join(', ')
}

/**
 * A copy of a request with some headers set, each replacing every header of its name in whatever case. Other headers keep their form and order.
 *
 * A redirect interceptor further in would copy what is set here to wherever the server points, so the copy tells it not to follow.
 * One further out, and fetch itself, send each hop through the layers again, where the binding decides.
 */
export function withHeaderValues<O extends DispatchOptions>(options: O, set: Readonly<Record<string, string>>): O {
  const names = Object.keys(set)
  const headers = options.headers
  if (isPlainObject(headers)) {
    const copy: Record<string, unknown> = {}
    for (const name in headers) if (!includesName(names, name)) copy[name] = headers[name]
    for (const name of names) copy[name] = set[name]
    return { ...options, headers: copy, maxRedirections: 0 }
  }
  const flat: Array<string | string[]> = []
  for (const [name, value] of headerPairs(headers)) if (!includesName(names, name)) flat.push(name, value)
  for (const name of names) flat.push(name, set[name] as string)
  return { ...options, headers: flat, maxRedirections: 0 }
}

function isPlainObject(headers: unknown): headers is Record<string, unknown> {
  return typeof headers === 'object' && headers !== null && !(Symbol.iterator in headers)
}

function includesName(names: readonly string[], name: string): boolean {
  for (const candidate of names) {
    if (candidate.length === name.length && (candidate === name || candidate.toLowerCase() === name.toLowerCase())) return true
  }
  return false
}

/** The absolute URL a request is sent to, `query` included. */
export function requestUrl(options: DispatchOptions): URL {
  const url = new URL(String(options.origin) + (options.path.startsWith('/') ? options.path : '/'))
  if (options.query) {
    for (const [name, value] of Object.entries(options.query)) {
      for (const item of Array.isArray(value) ? value : [value])
        if (item !== undefined && item !== null) url.searchParams.append(name, String(item))
    }
  }
  return url
}
