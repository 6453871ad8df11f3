import type { Redactor } from './create-redactor.ts'
import { redactedLine } from './redacted-line.ts'

/**
 * The `hooks` of a pino logger that redacts every line as it is written, serializers and child bindings included.
 *
 * @example
 * ```ts
 * import { createRedactor, pinoHooks } from '@mcpauth/redactor'
 * import pino from 'pino'
 *
 * const log = pino({ hooks: pinoHooks(createRedactor()) })
 * ```
 */
export function pinoHooks(redactor: Pick<Redactor, 'redactText' | 'redactJson'>): { streamWrite(line: string): string } {
  return {
    streamWrite(line) {
      const text = line.trimEnd()
      return redactedLine(text, redactor) + line.slice(text.length)
    }
  }
}
