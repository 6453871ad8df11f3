import { secrets } from './secret-registry.ts'

// Controls (C0, C1, DEL), format characters (bidirectional overrides, zero widths, tags, the byte order mark), line separators, lone
// surrogates, and the fillers that are letters by their class and show nothing.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u3164\uffa0]|\u034f/gu

/**
 * Makes text that a server sent safe to print: one line, no terminal escape, no character that reorders or hides others, bounded, and without
 * the secrets of this program: a server that says back what it was sent must not get it into an error message.
 * A removed character becomes a space, so that words do not run together.
 *
 * @param text Anything; what is not a string becomes the empty string.
 * @param maxLength In UTF-16 code units. @default 300
 */
export function safeText(text: unknown, maxLength = 300): string {
  if (typeof text !== 'string') return ''
  // Secrets first: a cut could leave half of one. Then cut before and after: the first bounds the work, the second the result.
  const clean = secrets
    .redact(text)
    .slice(0, maxLength * 4)
    .replace(unprintable, ' ')
    .replace(/ {2,}/g, ' ')
    .trim()
  if (clean.length <= maxLength) return clean
  const cut = clean.slice(0, maxLength - 1)
  // The cut may have gone through a pair.
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`
}
