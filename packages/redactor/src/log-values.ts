/** The value that stands behind a key in running text. */
export interface FoundValue {
  readonly start: number
  readonly end: number
  readonly replacement: string
}

const hidden = '[REDACTED]'
const bare = /[^\s,;&"'<>(){}[\]|\\]+/y
const toLineEnd = /[^\r\n"'\\]+/y
const nothing = /^(?:true|false|null|undefined|none)$/i
const number = /^-?\d/
const endOfText = /^[\s,:\]})"'\\]?$/
const spaces = /\s*/y

/** What the key says about its value. */
export interface ValueForm {
  /** It ends with the line, as a header's does. */
  readonly wholeLine: boolean
  /** The quote around the key, backslashes included; empty when there is none. */
  readonly keyQuote: string
}

/**
 * Reads the value at `at`: quoted, quoted inside a quoted text, a list of quoted ones, or bare.
 *
 * @returns undefined for nothing, an object, true, false and null, and for what is already taken out.
 */
export function valueAfter(text: string, at: number, how: ValueForm): FoundValue | undefined {
  let start = at
  while (text.charCodeAt(start) === 0x20 || text.charCodeAt(start) === 0x09) start += 1
  if (text.startsWith('[REDACTED', start)) return undefined
  const listed = text.charAt(start) === '['
  const quote = listed ? skipSpaces(text, start + 1) : start
  const backslashes = countBackslashes(text, quote)
  const mark = text.charAt(quote + backslashes)
  if (mark === '"' || mark === "'" || mark === '`') {
    // "no token:", as the end of a text: what follows is its closing quote.
    const closes = how.keyQuote === '' && endOfText.test(text.charAt(quote + backslashes + 1))
    return closes ? undefined : quotedValue(text, quote, backslashes, listed)
  }
  return listed ? undefined : bareValue(text, start, how)
}

function quotedValue(text: string, at: number, backslashes: number, listed: boolean): FoundValue | undefined {
  const opening = text.slice(at, at + backslashes + 1)
  const mark = opening.slice(-1)
  const start = at + opening.length
  let end = closingQuote(text, start, backslashes, mark)
  if (end === start || text.startsWith('[REDACTED', start)) return undefined
  for (let next = listed ? nextItem(text, end, opening) : -1; next !== -1; next = nextItem(text, end, opening)) {
    end = closingQuote(text, next, backslashes, mark)
  }
  return { start, end, replacement: hidden }
}

/** Where the next text of a list begins, when the one before ends at `end`; -1 after the last. */
function nextItem(text: string, end: number, opening: string): number {
  const comma = skipSpaces(text, end + opening.length)
  if (text.charAt(comma) !== ',') return -1
  const item = skipSpaces(text, comma + 1)
  return text.startsWith(opening, item) ? item + opening.length : -1
}

/**
 * Where the quote of the same depth stands: with as many backslashes as the first one had, not counting escaped pairs. One around it ends the value too: a quote that
 * is never closed must not take along what stands behind its text. The end when there is none.
 */
function closingQuote(text: string, start: number, backslashes: number, mark: string): number {
  for (let at = text.indexOf(mark, start); at !== -1; at = text.indexOf(mark, at + 1)) {
    let count = 0
    while (at - count > start && text.charCodeAt(at - count - 1) === 0x5c) count += 1
    for (let depth = backslashes; depth >= 0; depth = depth === 0 ? -1 : depth >> 1) {
      if (count % (2 * (depth + 1)) === depth) return at - depth
    }
  }
  return text.length
}

function bareValue(text: string, start: number, how: ValueForm): FoundValue | undefined {
  const expression = how.wholeLine ? toLineEnd : bare
  expression.lastIndex = start
  const value = expression.exec(text)?.[0]
  if (value === undefined || nothing.test(value)) return undefined
  // A line of JSON stays JSON.
  const inJson = how.keyQuote.endsWith('"') && number.test(value)
  const replacement = inJson ? how.keyQuote + hidden + how.keyQuote : hidden
  return { start, end: start + value.length, replacement }
}

function countBackslashes(text: string, at: number): number {
  let count = 0
  while (text.charCodeAt(at + count) === 0x5c) count += 1
  return count
}

function skipSpaces(text: string, at: number): number {
  spaces.lastIndex = at
  spaces.test(text)
  return spaces.lastIndex
}
