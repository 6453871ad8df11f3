// RFC 9110 §5.5 without the tab: visible Latin-1 and spaces within. Everything else is cut off, changed or refused on the way.
const fieldValue = /^(?:[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?)?$/

/** What keeps a text from being the value of a header, as a fact that does not quote it; undefined when nothing does. */
export function whatIsWrong(value: string): string | undefined {
  if (fieldValue.test(value)) return undefined
  if (/[\x00-\x1f\x7f-\x9f]/.test(value)) return 'holds a control character or a line break'
  if (/^\s|\s$/.test(value)) return 'begins or ends with white space'
  return 'holds a character outside Latin-1'
}
