// C0, C1 and DEL; bidirectional overrides and isolates; zero-width and line separators; the byte order mark; lone surrogates.
const unprintable = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Surrogate}/gu

/**
 * Makes text that a server sent safe to print: one line, no terminal escape, no character that reorders or hides others, bounded.
 * A removed character becomes a space, so that words do not run together.
 *
 * @param text Anything; what is not a string becomes the empty string.
 * @param maxLength In characters. @default 300
 */
export function safeText(text: unknown, maxLength = 300): string {
  if (typeof text !== 'string') return ''
  // Cut before and after: the first bounds the work, the second the result.
  const clean = text
    .slice(0, maxLength * 4)
    .replace(unprintable, ' ')
    .replace(/ {2,}/g, ' ')
    .trim()
  return clean.length > maxLength ? `${clean.slice(0, maxLength - 1)}…` : clean
}
