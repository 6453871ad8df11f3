import { secrets } from './secret-registry.ts'

/**
 * Takes the secrets of this program out of an error that undici or node has made, and out of what caused it. Such errors quote what a server said: an answer that
 * is no HTTP, the URL or the host of a redirect; and a server can say back what it was sent. It stays the same object, and where nothing is found it is not touched.
 */
export function withoutSecrets<E>(error: E): E {
  const seen = new Set<unknown>()
  const open: unknown[] = [error]
  while (open.length > 0) {
    const next = open.pop()
    if (!(next instanceof Error) || seen.has(next)) continue
    seen.add(next)
    open.push(next.cause, ...errorsIn(next))
    redactProperties(next)
  }
  return error
}

/** Of an AggregateError: one for each address that was tried. */
function errorsIn(error: Error): readonly unknown[] {
  const { errors } = error as { errors?: unknown }
  return Array.isArray(errors) ? errors : []
}

function redactProperties(error: Error): void {
  for (const name of Object.getOwnPropertyNames(error)) {
    const text: unknown = Reflect.get(error, name)
    const safe = typeof text === 'string' ? secrets.redact(text) : text
    if (safe !== text) Reflect.defineProperty(error, name, { value: safe })
  }
}
