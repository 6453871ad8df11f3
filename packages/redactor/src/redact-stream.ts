import { Transform } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** A line longer than this is written in parts. */
const maxLine = 1024 * 1024
/** Of a line that is written in parts, so much is held back: a secret may have only begun. */
const heldBack = 64 * 1024
const maxKey = 64 * 1024
const keyBegin = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/g
const keyEnd = /-----END [A-Z0-9 ]{0,60}-----/g

/**
 * A stream that takes secrets out of the text that runs through it, wherever its chunks are cut. A line is written when it is complete; a private key
 * of several lines when it has ended. Only a line of more than 1 MiB is written in parts. Input is UTF-8 or strings; output is UTF-8.
 */
export function redactingStream(redactText: (text: string) => string): Transform {
  const decoder = new StringDecoder('utf8')
  const pending: string[] = []
  let length = 0

  function take(text: string): string {
    pending.push(text)
    length += text.length
    // Without a line's end there is nothing to look at: joining at every small chunk would be quadratic.
    if (!text.includes('\n') && length <= maxLine) return ''
    const whole = pending.join('')
    const end = safeEnd(whole, redactText)
    keep(whole.slice(end))
    return end === 0 ? '' : redactText(whole.slice(0, end))
  }

  function keep(rest: string): void {
    pending.length = 0
    length = rest.length
    if (rest !== '') pending.push(rest)
  }

  return new Transform({
    decodeStrings: false,
    transform(chunk: string | Buffer, _encoding, done) {
      done(null, take(typeof chunk === 'string' ? chunk : decoder.write(chunk)))
    },
    flush(done) {
      pending.push(decoder.end())
      const rest = pending.join('')
      keep('')
      done(null, redactText(rest))
    }
  })
}

/** Up to where a text can be written before the rest of it is known. */
function safeEnd(text: string, redactText: (text: string) => string): number {
  const line = text.lastIndexOf('\n') + 1
  const key = keyAcross(text, line)
  if (key !== undefined && text.length - key <= maxKey) return text.lastIndexOf('\n', key) + 1
  if (text.length - line <= maxLine) return line
  return cutInLine(text, line, redactText)
}

/** Where a private key begins that goes on behind `end`. */
function keyAcross(text: string, end: number): number | undefined {
  let begin: number | undefined
  for (const match of text.slice(0, end).matchAll(keyBegin)) begin = match.index
  if (begin === undefined) return undefined
  keyEnd.lastIndex = begin
  const closed = keyEnd.test(text) ? keyEnd.lastIndex : Number.POSITIVE_INFINITY
  return closed > end ? begin : undefined
}

/** A place in an endless line that no secret crosses: both sides redacted alone are the whole redacted. */
function cutInLine(text: string, line: number, redactText: (text: string) => string): number {
  const window = text.slice(line)
  const whole = redactText(window)
  for (let back = heldBack; back <= window.length; back += heldBack) {
    const cut = window.length - back
    const separator = window.lastIndexOf(' ', cut) + 1 || window.lastIndexOf(',', cut) + 1 || cut
    if (redactText(window.slice(0, separator)) + redactText(window.slice(separator)) === whole) return line + separator
  }
  return line
}
