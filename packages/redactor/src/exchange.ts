import {
  type DispatchController,
  type DispatchHandler,
  type DispatchOptions,
  headerValue,
  knownBytes,
  type ReadonlyHeaders
} from '@mcpauth/core'
import { bodyReader } from './exchange-body.ts'

/** One request and its answer, as they were on the wire. Holds secrets: it is redacted where it is written. */
export interface Exchange {
  /** Counts up from 1 in one layer. */
  readonly id: number
  readonly startedAt: Date
  readonly method: string
  readonly url: string
  /** In whatever form the request has them. */
  readonly requestHeaders: unknown
  readonly requestBody: string | undefined
  /** Undefined where a body has no length of its own. */
  readonly requestBytes: number | undefined
  /** 0 when there was no answer. */
  status: number
  statusText: string
  responseHeaders: ReadonlyHeaders
  responseBody: string | undefined
  responseBytes: number
  /** From the start to the headers, and to the end. */
  waitMs: number
  durationMs: number
  error: Error | undefined
}

/** What is told about exchanges. */
export interface ExchangeWatcher {
  /** The answer has ended, or failed. */
  finished(exchange: Exchange): void
  /** One event of an event stream, when it is complete; only where bodies are read. */
  event?(exchange: Exchange, event: { readonly event: string; readonly data: string }): void
}

/** How much is looked at. */
export interface ExchangeReading {
  readonly bodies: boolean
  readonly maxBodyBytes: number
  readonly now: () => number
}

/** Begins to watch one request. */
export function openExchange(id: number, options: DispatchOptions, reading: ExchangeReading): Exchange {
  const known = knownBytes(options.body)
  return {
    id,
    startedAt: new Date(reading.now()),
    method: options.method,
    url: urlOf(options),
    requestHeaders: options.headers,
    requestBody: reading.bodies ? textOfRequest(known, reading.maxBodyBytes) : undefined,
    requestBytes: known?.byteLength ?? declaredLength(options),
    status: 0,
    statusText: '',
    responseHeaders: {},
    responseBody: undefined,
    responseBytes: 0,
    waitMs: 0,
    durationMs: 0,
    error: undefined
  }
}

/** The caller's handler with someone looking on. Every chunk is handed on before it is looked at; none is held. */
export function watchedHandler(
  handler: DispatchHandler,
  exchange: Exchange,
  watcher: ExchangeWatcher,
  reading: ExchangeReading
): DispatchHandler {
  const start = performance.now()
  let body: ReturnType<typeof bodyReader> | undefined

  function finish(error?: Error): void {
    exchange.durationMs = performance.now() - start
    exchange.error = error
    exchange.responseBody = body?.end()
    watcher.finished(exchange)
  }

  const watched: DispatchHandler = {
    onRequestStart(controller: DispatchController, context: unknown) {
      handler.onRequestStart?.(controller, context)
    },
    onResponseStart(controller: DispatchController, status: number, headers: ReadonlyHeaders, statusMessage?: string) {
      exchange.status = status
      exchange.statusText = statusMessage ?? ''
      exchange.responseHeaders = headers
      exchange.waitMs = performance.now() - start
      if (reading.bodies) body = bodyReader(headers, reading.maxBodyBytes, (event) => watcher.event?.(exchange, event))
      handler.onResponseStart?.(controller, status, headers, statusMessage)
    },
    onResponseData(controller: DispatchController, chunk: Uint8Array) {
      exchange.responseBytes += chunk.byteLength
      // Before it is handed on: what takes it may detach its memory.
      body?.chunk(chunk)
      handler.onResponseData?.(controller, chunk)
    },
    onResponseEnd(controller: DispatchController, trailers: ReadonlyHeaders) {
      finish()
      handler.onResponseEnd?.(controller, trailers)
    },
    onResponseError(controller: DispatchController, error: Error) {
      finish(error)
      handler.onResponseError?.(controller, error)
    }
  }
  if (handler.onRequestUpgrade) watched.onRequestUpgrade = (...upgrade) => handler.onRequestUpgrade?.(...upgrade)
  if (handler.onBodySent) watched.onBodySent = (chunk, length) => handler.onBodySent?.(chunk, length)
  if (handler.onRequestSent) watched.onRequestSent = () => handler.onRequestSent?.()
  if (handler.onResponseStarted) watched.onResponseStarted = () => handler.onResponseStarted?.()
  return watched
}

function urlOf({ origin, path, query }: DispatchOptions): string {
  const url = `${origin ?? ''}${path}`
  if (!query) return url
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]))
  return `${url}${path.includes('?') ? '&' : '?'}${parameters}`
}

function textOfRequest(known: Uint8Array | undefined, maxBytes: number): string | undefined {
  if (known === undefined) return '[stream]'
  if (known.byteLength === 0) return undefined
  return known.byteLength <= maxBytes
    ? Buffer.from(known.buffer, known.byteOffset, known.byteLength).toString()
    : `[${known.byteLength} bytes]`
}

function declaredLength(options: DispatchOptions): number | undefined {
  const length = headerValue(options.headers, 'content-length')
  return length === undefined ? undefined : Number(length)
}
