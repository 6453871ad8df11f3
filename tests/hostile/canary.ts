import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** A secret that stands nowhere else. */
export function createCanary(name: string): string {
  return `canary-${name}-${randomBytes(12).toString('hex')}`
}

/** Every form in which a secret may leak: whole, or the middle of it, which is the same in base64 whatever stands before and behind. */
function formsOf(canary: string): string[] {
  const bytes = Buffer.from(canary)
  const inner = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -6)
  )
  return [canary, canary.slice(-24), bytes.toString('hex'), ...inner, encodeURIComponent(canary)]
}

/** Which canaries, of those that are known by name, stand in a text in whatever form. */
export function leaksIn(text: string, canaries: Readonly<Record<string, string>>): string[] {
  const lower = text.toLowerCase()
  return Object.entries(canaries)
    .filter(([, canary]) => formsOf(canary).some((form) => text.includes(form) || (/^[0-9a-f]+$/.test(form) && lower.includes(form))))
    .map(([name]) => name)
}

/** Everything that can be seen of a value, by every way in which programs look at one. */
export function everythingOf(value: unknown): string {
  const seen: string[] = [
    String(value),
    inspect(value, { showHidden: true, depth: null, getters: true, maxStringLength: null }),
    written(value)
  ]
  for (let error = value, depth = 0; error instanceof Error && depth < 10; error = error.cause, depth++) {
    seen.push(
      error.message,
      error.stack ?? '',
      String((error as { hint?: unknown }).hint),
      written({ ...error }),
      inspect(cloned(error), { depth: null })
    )
  }
  return seen.join('\n')
}

function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return ''
  }
}

function cloned(value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch {
    return undefined
  }
}
