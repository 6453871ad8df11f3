import type { Redactor } from './create-redactor.ts'

/**
 * A line of JSON without secrets, looked at as one text. Where a server has said something with an open quote in it, what is taken out there may reach over the end of
 * its value and hide what stands behind it, or leave no JSON at all: then each value is looked at by itself.
 */
export function redactedLine(json: string, { redactText, redactJson }: Pick<Redactor, 'redactText' | 'redactJson'>): string {
  const line = redactText(json)
  return line === json || hasSameKeys(line, json) ? line : redactJson(json)
}

function hasSameKeys(line: string, before: string): boolean {
  try {
    return keysOf(line) === keysOf(before)
  } catch {
    return false
  }
}

function keysOf(json: string): string {
  return JSON.stringify(Object.keys(JSON.parse(json) as object))
}
