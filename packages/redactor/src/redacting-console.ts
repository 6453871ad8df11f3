import { format } from 'node:util'
import type { Redactor } from './create-redactor.ts'

/** The methods of a console that take what is to be printed. */
export interface LineConsole {
  debug(...data: unknown[]): void
  error(...data: unknown[]): void
  info(...data: unknown[]): void
  log(...data: unknown[]): void
  trace(...data: unknown[]): void
  warn(...data: unknown[]): void
}

/**
 * A console that formats what it is given as `console` does, takes the secrets out and hands one line to `target`.
 *
 * @param target Where the lines go, as in `redactingConsole(redactor, console)`.
 */
export function redactingConsole(redactor: Redactor, target: LineConsole): LineConsole {
  const line = (data: readonly unknown[]): string =>
    redactor.redactText(format(...data.map((item) => (typeof item === 'string' ? item : redactor.redactValue(item)))))
  return {
    // '%s' keeps a % in the line from being read as a format.
    debug: (...data) => target.debug('%s', line(data)),
    error: (...data) => target.error('%s', line(data)),
    info: (...data) => target.info('%s', line(data)),
    log: (...data) => target.log('%s', line(data)),
    trace: (...data) => target.trace('%s', line(data)),
    warn: (...data) => target.warn('%s', line(data))
  }
}
