import { redactValue, type ValueRedaction } from './redact-value.ts'
import { writtenNumber } from './written-number.ts'

/**
 * Takes the secrets out of a JSON text, however its strings are escaped. What comes out is compact JSON; numbers stay as they were written.
 * What is not JSON is treated as text.
 */
export function redactJson(json: string, redaction: ValueRedaction): string {
  let value: unknown
  try {
    value = JSON.parse(json, keepNumber as (key: string, value: unknown) => unknown)
  } catch {
    // What it throws quotes the text.
    return redaction.redactText(json)
  }
  return JSON.stringify(redactValue(value, redaction))
}

/** 12345678901234567890 is an id to someone, and must not come out as 12345678901234567000. */
function keepNumber(_key: string, value: unknown, context: { source?: string }): unknown {
  return typeof value === 'number' && context.source !== undefined && String(value) !== context.source
    ? writtenNumber(context.source)
    : value
}
