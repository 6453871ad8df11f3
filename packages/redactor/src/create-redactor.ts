import type { Transform } from 'node:stream'
import { redactJson } from './redact-json.ts'
import { redactingStream } from './redact-stream.ts'
import { textRedactor } from './redact-text.ts'
import { urlRedactor } from './redact-url.ts'
import { redactError, redactHeaders, redactValue, type ValueRedaction } from './redact-value.ts'
import { openRules, type RedactorOptions, type Rules } from './rules.ts'

/** Takes secrets out of what is about to be printed, logged or stored. Nothing it is given is changed. */
export interface Redactor {
  /** Any text: a log line, JSON, a form body, a header block, what `util.inspect` printed. Takes time linear in its length. */
  redactText(text: string): string
  /** A copy of headers in any form that undici takes. Names stay as written; a repeated header becomes an array. */
  redactHeaders(headers: unknown): Record<string, string | string[]>
  /** A JSON text, however its strings are escaped; what comes out is compact. What is not JSON is treated as text. */
  redactJson(json: string): string
  /** A URL, absolute or not: user name and password, secret parameters, and whatever else `redactText` finds in it. */
  redactUrl(url: string | URL): string
  /** A plain Error that says the same without secrets: name, message, stack, causes, own properties. */
  redactError(error: unknown): Error
  /** A copy of anything, to be logged: objects with cycles, Map, Set, Headers, Request, Response, URL, errors. */
  redactValue(value: unknown): unknown
  /** A stream of text or UTF-8 that takes secrets out, wherever its chunks are cut. Writes line by line. */
  stream(): Transform
}

/**
 * Makes a redactor. What a mcpauth package has read as a secret is taken out in every form; beyond that, eight rules guess, and each can be switched.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 *
 * @example
 * ```ts
 * import { createRedactor } from '@mcpauth/redactor'
 *
 * const redactor = createRedactor({ hexBlobs: { allow: [/^[0-9a-f]{32}$/] } })
 * process.stdout.write(redactor.redactText('password=hunter2 trace=4bf92f3577b34da6a3ce929d0e0e4736'))
 * ```
 */
export function createRedactor(options: RedactorOptions = {}): Redactor {
  return redactorWith(openRules(options), options)
}

/** A redactor over rules that are already open. */
export function redactorWith(rules: Rules, options: RedactorOptions): Redactor {
  const redactText = textRedactor(options, rules)
  const redactUrl = urlRedactor(rules, redactText)
  const redaction: ValueRedaction = { rules, redactText, redactUrl }
  return {
    redactText,
    redactUrl,
    redactHeaders: (headers) => redactHeaders(headers, redaction),
    redactJson: (json) => redactJson(json, redaction),
    redactError: (error) => redactError(error, redaction),
    redactValue: (value) => redactValue(value, redaction),
    stream: () => redactingStream(redactText)
  }
}
