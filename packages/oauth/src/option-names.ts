import { invalidOption, safeText } from '@mcpauth/core'

/**
 * Refuses options that do not exist: a misspelt one would be left out without a word, and one that makes things safer with it.
 *
 * @param name Of the object, as errors name it; empty for the outermost.
 * @param known Every name there is; a record, so that the compiler sees one that is missing.
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkOptionNames(name: string, given: object, known: Readonly<Record<string, true>>): void {
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(known, key)) continue
    const full = name === '' ? safeText(key) : `${name}.${safeText(key)}`
    const meant = nearest(key, Object.keys(known))
    throw invalidOption(full, 'does not exist', meant === undefined ? undefined : `did you mean ${meant}?`)
  }
}

/** The name that was most likely meant, if any is near. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const plain = spelling(key)
  const [best] = known.map((name) => ({ name, distance: editDistance(plain, spelling(name)) })).sort((a, b) => a.distance - b.distance)
  return best && best.distance <= Math.max(2, Math.floor(plain.length / 4)) ? best.name : undefined
}

/** `client_id` and `clientID` are `clientId` to whoever writes them. */
function spelling(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase()
}

/** How many letters have to be put in, taken out or replaced (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1]
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (row[column - 1] as number) + (letter === b[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
