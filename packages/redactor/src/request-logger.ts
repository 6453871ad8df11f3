import type { Redactor } from './create-redactor.ts'
import { redactedLine } from './redacted-line.ts'

/** What `withLogging` of both MCP SDKs tells its logger about one request. */
export interface LoggedRequest {
  readonly method: string
  readonly url: string | URL
  readonly status: number
  readonly statusText: string
  /** In milliseconds. */
  readonly duration: number
  readonly requestHeaders?: Headers | undefined
  readonly responseHeaders?: Headers | undefined
  readonly error?: Error | undefined
}

/**
 * A logger for `withLogging({ logger })` of both MCP SDKs, whose own prints URLs and errors as they are. Writes a line of JSON per request.
 *
 * @param write Takes one line, with its line break.
 */
export function requestLogger(redactor: Redactor, write: (line: string) => void): (request: LoggedRequest) => void {
  return ({ method, url, status, statusText, duration, requestHeaders, responseHeaders, error }) => {
    const line = JSON.stringify({
      method,
      url: redactor.redactUrl(url),
      status,
      statusText,
      durationMs: duration,
      ...(requestHeaders && { requestHeaders: redactor.redactHeaders(requestHeaders) }),
      ...(responseHeaders && { responseHeaders: redactor.redactHeaders(responseHeaders) }),
      ...(error && { error: redactor.redactError(error).message })
    })
    write(`${redactedLine(line, redactor)}\n`)
  }
}
