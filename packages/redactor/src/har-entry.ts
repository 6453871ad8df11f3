import { headerPairs } from '@mcpauth/core'
import type { Redactor } from './create-redactor.ts'
import type { Exchange } from './exchange.ts'

/** What may stand in a HAR file. Everything else is left out: the file is meant to be committed, and no pattern finds every secret. */
export interface HarAllowList {
  /** Headers whose values are written; of all others only the names are. Added to a few that describe the message. */
  readonly headers?: readonly string[]
  /** Parameters of the URL whose values are written. @default none */
  readonly query?: readonly string[]
  /** Keys of JSON bodies whose values are written; without any, bodies are left out. @default none */
  readonly bodyKeys?: readonly string[]
}

const hidden = '[REDACTED]'

/** They describe the message and carry no credential. */
const describing: readonly string[] = [
  'accept',
  'accept-encoding',
  'allow',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'mcp-protocol-version',
  'retry-after',
  'transfer-encoding',
  'user-agent',
  'vary'
]

/** Makes the entry of one exchange (HAR 1.2, §entries). */
export type HarEntry = (exchange: Exchange) => object

/** Prepares the making of entries. */
export function harEntries(allow: HarAllowList, redactor: Redactor): HarEntry {
  const headers = new Set([...describing, ...(allow.headers ?? [])].map((name) => name.toLowerCase()))
  const query = new Set(allow.query)
  const bodyKeys = new Set(allow.bodyKeys)

  function headerList(from: unknown): Array<{ name: string; value: string }> {
    const pairs = headerPairs(from).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((item) => ({ name, value: item }))
    )
    return pairs.map(({ name, value }) => ({
      name: redactor.redactText(name),
      value: headers.has(name.toLowerCase()) ? redactor.redactText(value) : hidden
    }))
  }

  function queryList(url: string): Array<{ name: string; value: string }> {
    // A fragment is no part of the last value: an allowed one would take it along.
    const text = /^[^?#]*(\?[^#]*)/.exec(url)?.[1] ?? ''
    const pairs = [...new URLSearchParams(text)]
    return pairs.map(([name, value]) => {
      if (query.has(name)) return { name, value: redactor.redactText(value) }
      // What stands alone, as in `?abc`, is as much a value as a name.
      return value === '' ? { name: hidden, value } : { name: redactor.redactText(name), value: hidden }
    })
  }

  function shownUrl(url: string): string {
    const address = redactor.redactUrl(url.replace(/[?#][\s\S]*$/, ''))
    const pairs = queryList(url).map((pair) =>
      [pair.name, pair.value].map((text) => (text === hidden ? hidden : encodeURIComponent(text))).join('=')
    )
    return pairs.length === 0 ? address : `${address}?${pairs.join('&')}`
  }

  function shownBody(body: string | undefined): string | undefined {
    if (body === undefined || bodyKeys.size === 0) return undefined
    try {
      return redactor.redactJson(JSON.stringify(onlyAllowed(JSON.parse(body), false, bodyKeys)))
    } catch {
      return undefined
    }
  }

  return (exchange) => {
    const requestBody = shownBody(exchange.requestBody)
    const responseBody = shownBody(exchange.responseBody)
    const redirect = exchange.responseHeaders.location
    return {
      startedDateTime: exchange.startedAt.toISOString(),
      time: exchange.durationMs,
      request: {
        method: exchange.method,
        url: shownUrl(exchange.url),
        httpVersion: 'HTTP/1.1',
        cookies: [],
        headers: headerList(exchange.requestHeaders),
        queryString: queryList(exchange.url),
        headersSize: -1,
        bodySize: exchange.requestBytes ?? -1,
        ...(requestBody !== undefined && { postData: { mimeType: 'application/json', text: requestBody } })
      },
      response: {
        status: exchange.status,
        statusText: redactor.redactText(exchange.statusText),
        httpVersion: 'HTTP/1.1',
        cookies: [],
        headers: headerList(exchange.responseHeaders),
        content: {
          size: exchange.responseBytes,
          mimeType: redactor.redactText(String(exchange.responseHeaders['content-type'] ?? '')),
          ...(responseBody !== undefined && { text: responseBody })
        },
        redirectURL: redirect === undefined ? '' : shownUrl(String(redirect)),
        headersSize: -1,
        bodySize: exchange.responseBytes,
        ...(exchange.error && { _error: redactor.redactError(exchange.error).message })
      },
      cache: {},
      timings: { send: 0, wait: exchange.waitMs, receive: Math.max(0, exchange.durationMs - exchange.waitMs) }
    }
  }
}

function onlyAllowed(value: unknown, allowed: boolean, keys: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((item) => onlyAllowed(item, allowed, keys))
  if (typeof value !== 'object' || value === null) return allowed ? value : hidden
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, onlyAllowed(item, keys.has(key), keys)]))
}
