import { StringDecoder } from 'node:string_decoder'
import type { ReadonlyHeaders } from '@mcpauth/core'

/** Reads along while an answer runs through. */
export interface BodyReader {
  chunk(bytes: Uint8Array): void
  /** What there is to show of the body; undefined for an event stream, whose events were told one by one. */
  end(): string | undefined
}

/** A reader for an answer with these headers. Keeps at most `maxBytes`, and nothing of what is not text. */
export function bodyReader(
  headers: ReadonlyHeaders,
  maxBytes: number,
  event: (event: { event: string; data: string }) => void
): BodyReader {
  const type = String(headers['content-type'] ?? '')
  const encoding = String(headers['content-encoding'] ?? 'identity')
  if (encoding !== 'identity') return countingReader(encoding)
  if (type.startsWith('text/event-stream')) return eventReader(maxBytes, event)
  return /json|^text\/|urlencoded|xml/.test(type) ? textReader(maxBytes) : countingReader(type || 'no content-type')
}

function countingReader(what: string): BodyReader {
  let size = 0
  return {
    chunk: (bytes) => {
      size += bytes.byteLength
    },
    end: () => (size === 0 ? undefined : `[${what}: ${size} bytes]`)
  }
}

function textReader(maxBytes: number): BodyReader {
  const decoder = new StringDecoder('utf8')
  let text = ''
  let size = 0
  return {
    chunk: (bytes) => {
      size += bytes.byteLength
      if (size <= maxBytes) text += decoder.write(bytes)
      else text = ''
    },
    // A part of a body is not shown: a secret could be cut in two.
    end: () => (size === 0 ? undefined : size <= maxBytes ? text + decoder.end() : `[${size} bytes]`)
  }
}

/** The event stream of the HTML standard, as far as a log needs it. */
function eventReader(maxBytes: number, tell: (event: { event: string; data: string }) => void): BodyReader {
  const decoder = new StringDecoder('utf8')
  let line = ''
  let tooLong = false
  let event = 'message'
  let data: string[] = []
  let size = 0

  function take(text: string): void {
    const lines = (line + text).split('\n')
    line = lines.pop() as string
    if (line.length > maxBytes) {
      line = ''
      tooLong = true
    }
    for (const whole of lines) field(whole.replace(/\r$/, ''))
  }

  function field(text: string): void {
    if (text === '') end()
    else if (text.startsWith('event:')) event = text.slice(6).trim()
    else if (text.startsWith('data:')) {
      size += text.length
      if (size <= maxBytes) data.push(text.slice(5).replace(/^ /, ''))
      else tooLong = true
    }
  }

  function end(): void {
    if (data.length > 0 || tooLong) tell({ event, data: tooLong ? '[too long]' : data.join('\n') })
    event = 'message'
    data = []
    size = 0
    tooLong = false
  }

  return {
    chunk: (bytes) => take(decoder.write(bytes)),
    end: () => {
      end()
      return undefined
    }
  }
}
