import type { Redactor } from './create-redactor.ts'
import type { Exchange, ExchangeWatcher } from './exchange.ts'
import { redactedLine } from './redacted-line.ts'

/** Takes lines: a function, or anything with `write`, as `process.stderr` or a file stream. */
export type LineSink = ((line: string) => void) | { write(line: string): unknown }

/** How an exchange is made safe to write. */
export interface LogRedaction {
  readonly redactor: Redactor
  /** Hides header values by the headers' names; the line is redacted as a whole afterwards. */
  readonly hideHeaders: (headers: unknown) => Record<string, string | string[]>
  readonly bodies: boolean
}

/** Writes a line of JSON for every exchange, and for every event of an event stream where bodies are read. */
export function exchangeLog(sink: LineSink, { redactor, hideHeaders, bodies }: LogRedaction): ExchangeWatcher {
  const write = typeof sink === 'function' ? sink : (line: string) => sink.write(line)

  function line(facts: Record<string, unknown>): void {
    // The whole line once more: what no name gave away may have a shape.
    write(`${redactedLine(JSON.stringify(facts), redactor)}\n`)
  }

  function finished(exchange: Exchange): void {
    line({
      time: exchange.startedAt.toISOString(),
      id: exchange.id,
      method: exchange.method,
      // As a URL: in running text a name that is percent-encoded gives nothing away.
      url: exchange.url.includes('?') ? redactor.redactUrl(exchange.url) : exchange.url,
      status: exchange.status,
      durationMs: rounded(exchange.durationMs),
      waitMs: rounded(exchange.waitMs),
      requestBytes: exchange.requestBytes,
      responseBytes: exchange.responseBytes,
      requestHeaders: hideHeaders(exchange.requestHeaders),
      responseHeaders: hideHeaders(exchange.responseHeaders),
      ...(bodies && { requestBody: shown(exchange.requestBody, redactor), responseBody: shown(exchange.responseBody, redactor) }),
      error: exchange.error && redactor.redactError(exchange.error).message
    })
  }

  return bodies ? { finished, event: ({ id }, { event, data }) => line({ id, event, data: shown(data, redactor) }) } : { finished }
}

/** JSON as JSON, anything else as text. */
function shown(body: string | undefined, redactor: Redactor): unknown {
  if (body === undefined) return undefined
  try {
    return redactor.redactValue(JSON.parse(body))
  } catch {
    return redactor.redactText(body)
  }
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100
}
