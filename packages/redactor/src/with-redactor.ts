import { type BindOptions, bindTo, describeLayer, type Interceptor, invalidOption } from '@mcpauth/core'
import { type Redactor, redactorWith } from './create-redactor.ts'
import { type ExchangeReading, type ExchangeWatcher, openExchange, watchedHandler } from './exchange.ts'
import { exchangeLog, type LineSink } from './exchange-log.ts'
import { type HarAllowList, harEntries } from './har-entry.ts'
import { harFile } from './har-file.ts'
import { hideNamedHeaders } from './redact-value.ts'
import { openRules, type RedactorOptions } from './rules.ts'

/** Options of {@link withRedactor}. */
export interface WithRedactorOptions extends BindOptions {
  /** Takes a line of JSON per exchange: a function, or a stream. */
  log?: LineSink
  /** A HAR 1.2 file, begun anew by each program: its path, or its path and what may stand in it. */
  har?: string | (HarAllowList & { readonly file: string })
  /** Writes bodies too: JSON and text whole, event streams event by event, as they pass. @default false */
  bodies?: boolean
  /** Of a longer body only the length is written. In bytes. @default 65536 */
  maxBodyBytes?: number
  /** The rules. @default every rule is on */
  rules?: RedactorOptions
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/**
 * Writes down every request to the server as it goes on the wire, and its answer, without secrets. Changes nothing and holds nothing back: a stream
 * is read along while it passes. What a sink or the file throws never reaches the request; the line is lost.
 * Listed last, it sees what all other layers have done.
 *
 * @throws `MCPAUTH_INVALID_OPTION` neither `log` nor `har` is given, or one of the others cannot be used.
 * @throws `MCPAUTH_INSECURE_URL`
 *
 * @example
 * ```ts
 * import { authFetch, type FetchLike } from '@mcpauth/core'
 * import { withRedactor } from '@mcpauth/redactor'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch: FetchLike = authFetch(withRedactor(url, { log: process.stderr, har: 'session.har' }))
 * ```
 */
export function withRedactor(server: string | URL, options: WithRedactorOptions): Interceptor {
  const { log, har, bodies = false, maxBodyBytes = 65_536, now = Date.now } = options
  if (log === undefined && har === undefined)
    throw invalidOption('log', 'is missing, and har too', 'give one of them, or leave the layer out')
  if (!(maxBodyBytes >= 0)) throw invalidOption('maxBodyBytes', 'is not a number of bytes')
  const binding = bindTo(server, options)
  const rules = openRules(options.rules ?? {})
  const redactor = redactorWith(rules, options.rules ?? {})
  const hideHeaders = (headers: unknown): Record<string, string | string[]> => hideNamedHeaders(headers, rules)
  const watchers: ExchangeWatcher[] = []
  if (log !== undefined) watchers.push(exchangeLog(log, { redactor, hideHeaders, bodies }))
  const harOptions = typeof har === 'string' ? { file: har } : har
  if (harOptions) watchers.push(harWatcher(harOptions, redactor))
  const watcher = everyWatcher(watchers)
  const reading: ExchangeReading = { bodies: bodies || (harOptions?.bodyKeys?.length ?? 0) > 0, maxBodyBytes, now }
  let count = 0

  return describeLayer(
    (dispatch, road) => {
      const reach = road?.bind === 'origin' ? bindTo(server, { ...options, bind: 'origin' }) : binding
      return (request, handler) => {
        if (!reach.covers(request)) return dispatch(request, handler)
        count += 1
        return dispatch(request, watchedHandler(handler, openExchange(count, request, reading), watcher, reading))
      }
    },
    { kind: 'observer', server: binding.server, sets: [] }
  )
}

function harWatcher({ file, ...allow }: HarAllowList & { readonly file: string }, redactor: Redactor): ExchangeWatcher {
  const append = harFile(file)
  const entry = harEntries(allow, redactor)
  return { finished: (exchange) => append(entry(exchange)) }
}

/** Tells each watcher, whatever the one before has thrown: a full disk is no reason for a request to fail. */
function everyWatcher(watchers: readonly ExchangeWatcher[]): ExchangeWatcher {
  function each(tell: (watcher: ExchangeWatcher) => void): void {
    for (const watcher of watchers) {
      try {
        tell(watcher)
      } catch {
        // The line is lost.
      }
    }
  }
  return {
    finished: (exchange) => each((watcher) => watcher.finished(exchange)),
    event: (exchange, event) => each((watcher) => watcher.event?.(exchange, event))
  }
}
