import { literals } from '@mcpauth/core'
import { type FoundValue, valueAfter } from './log-values.ts'
import type { Rules } from './rules.ts'
import { hexBlobsIn, minimumBlob, type Range, randomBlobsIn } from './secret-blobs.ts'
import { isSensitiveHeader, type KeyKind, keyEndings, keyKind } from './secret-names.ts'
import { shapesIn } from './secret-shapes.ts'
import { type Bytes, chunkReader } from './text-bytes.ts'

/** A part of a text, and what is put in its place. */
export interface Finding extends Range {
  readonly replacement: string
}

const hidden = '[REDACTED]'

/** Rules 2, 3 and 4: values that give themselves away. */
export function secretRuns(text: string, rules: Rules): Finding[] {
  const found: Finding[] = []
  for (const { start, end } of longRuns(text)) {
    const run = text.slice(start, end)
    if (followsBearer(text, start) && rules.sensitiveHeaders('authorization')) {
      found.push({ start, end, replacement: hidden })
      continue
    }
    const shapes = addShapes(run, start, rules, found)
    if (run.length < minimumBlob) continue
    for (const blob of hexBlobsIn(run)) addBlob(run, start, blob, shapes, rules.hexBlobs, found)
    for (const blob of randomBlobsIn(run)) addBlob(run, start, blob, shapes, rules.randomBlobs, found)
  }
  return found
}

function followsBearer(text: string, at: number): boolean {
  return text.charCodeAt(at - 1) === 0x20 && text.slice(Math.max(0, at - 7), at - 1).toLowerCase() === 'bearer'
}

function addShapes(run: string, offset: number, rules: Rules, found: Finding[]): Range[] {
  const shapes = shapesIn(run).filter(({ start, end }) => rules.vendorShapes(run.slice(start, end)))
  for (const { start, end, label } of shapes) found.push({ start: offset + start, end: offset + end, replacement: `[REDACTED:${label}]` })
  return shapes
}

function addBlob(run: string, offset: number, blob: Range, shapes: Range[], applies: (value: string) => boolean, found: Finding[]): void {
  if (shapes.some((shape) => shape.start <= blob.start && blob.end <= shape.end)) return
  const value = run.slice(blob.start, blob.end)
  // What the user wrote into the program as a header is shown.
  if (applies(value) && !literals.has(value) && !literals.has(run))
    found.push({ start: offset + blob.start, end: offset + blob.end, replacement: hidden })
}

// The characters of tokens, base64 and hexadecimal.
const ofRun = new Uint8Array(256)
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/=.~-') ofRun[character.charCodeAt(0)] = 1
const minimumRun = 16
const runChunks = chunkReader(0)

/** Runs of token characters, 16 and longer. Looks at every sixteenth character and goes back only while it is in a run, as Boyer and Moore do. */
function longRuns(text: string): Range[] {
  const runs: Range[] = []
  // Up to here nothing begins that is not known.
  let clear = 0
  runChunks(text, ({ octets }, _from, to, offset) => {
    let at = Math.max(0, clear - offset)
    while (at + minimumRun <= to) {
      let back = at + minimumRun - 1
      while (back >= at && ofRun[octets[back] as number] === 1) back -= 1
      if (back >= at) {
        at = back + 1
        continue
      }
      const run = wholeRun(text, offset + at)
      if (run.end - run.start >= minimumRun) runs.push(run)
      at = run.end - offset + 1
    }
    // A run that crosses the chunk's end begins in its last characters.
    while (at < to) {
      const run = wholeRun(text, offset + at)
      if (run.end - run.start >= minimumRun) runs.push(run)
      at = run.end - offset + 1
    }
    clear = offset + at
  })
  return runs
}

function wholeRun(text: string, start: number): Range {
  let end = start
  while (end < text.length && isOfRun(text, end)) end += 1
  return { start, end }
}

function isOfRun(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code < 128 && ofRun[code] === 1
}

const equals = 0x3d
const colon = 0x3a
const endings = new Uint8Array(1 << 15)
for (const ending of keyEndings) endings[endingHash(ending.charCodeAt(0), ending.charCodeAt(1), ending.charCodeAt(2))] = 1

// A multiple of four, so that words stay aligned.
const farthestKeyEnd = 64
const separatorChunks = chunkReader(farthestKeyEnd)

/** Rules 5, 6 and 8 in running text: `key=value`, `"key": "value"`, `Header: value`, `?name=value`, `scheme://user:password@`. */
export function secretValues(text: string, rules: Rules): Finding[] {
  const found: Finding[] = []
  let last = 0
  separatorChunks(text, (bytes, from, to, offset) => {
    for (const at of separatorsIn(bytes, from, to)) {
      if (offset + at < last) continue
      const finding = valueAt(text, offset + at, rules)
      if (!finding) continue
      found.push(finding)
      last = finding.end
    }
  })
  return found
}

/** Where a separator stands that may matter. Four bytes are looked at together: most words hold no separator. */
function separatorsIn(bytes: Bytes, from: number, to: number): number[] {
  const { octets, words } = bytes
  const found: number[] = []
  const end = (to + 3) >> 2
  for (let i = from >> 2; i < end; i++) {
    const noColon = (words[i] as number) ^ 0x3a3a3a3a
    const noEquals = (words[i] as number) ^ 0x3d3d3d3d
    // Not zero where one of the four bytes is zero (and where it is not, now and then).
    if (((((noColon - 0x01010101) & ~noColon) | ((noEquals - 0x01010101) & ~noEquals)) & 0x80808080) === 0) continue
    for (let at = i * 4; at < i * 4 + 4; at++) {
      const code = octets[at]
      if ((code === equals || code === colon) && at < to && mayMatter(octets, at, to)) found.push(at)
    }
  }
  return found
}

/** Whether a key that ends like a secret's stands before the separator, or `//` behind it. */
function mayMatter(bytes: Uint8Array, separator: number, to: number): boolean {
  if (bytes[separator] === colon && (separator + 1 === to || bytes[separator + 1] === 0x2f)) return true
  let end = separator - 1
  while (bytes[end] === 0x20) end -= 1
  if (bytes[end] === 0x22 || bytes[end] === 0x27) {
    end -= 1
    while (bytes[end] === 0x5c) end -= 1
  }
  return end >= 2 && endings[endingHash(bytes[end - 2] as number, bytes[end - 1] as number, bytes[end] as number)] === 1
}

function valueAt(text: string, at: number, rules: Rules): Finding | undefined {
  const code = text.charCodeAt(at)
  if (code === colon && text.startsWith('//', at + 1)) return userinfo(text, at + 3, rules)
  return code === colon || code === equals ? keyedValue(text, at, rules) : undefined
}

function userinfo(text: string, start: number, rules: Rules): Finding | undefined {
  let at = -1
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i)
    // White space, quotes, <, >, /, ?, #, \ and | end the authority.
    if (code <= 0x20 || code === 0x22 || code === 0x27 || code === 0x2f || code === 0x3f || code === 0x23 || code === 0x3c || code === 0x3e)
      break
    if (code === 0x5c || code === 0x7c || code === 0x60) break
    if (code === 0x40) at = i
  }
  return at > start && rules.urls('userinfo') ? { start, end: at, replacement: hidden } : undefined
}

function keyedValue(text: string, separator: number, rules: Rules): Finding | undefined {
  let end = separator
  while (text.charCodeAt(end - 1) === 0x20) end -= 1
  const keyEnd = end
  const mark = text.charAt(end - 1)
  if (mark === '"' || mark === "'") {
    end -= 1
    while (text.charCodeAt(end - 1) === 0x5c) end -= 1
  }
  // As it is written: \" inside a JSON text inside JSON.
  const quote = text.slice(end, keyEnd)
  let start = end
  while (end - start < farthestKeyEnd && isOfKey(text.charCodeAt(start - 1))) start -= 1
  const key = text.slice(start, end)
  const kind = keyKind(key)
  const wanted = isWanted(key, kind, text.charCodeAt(separator) === equals, rules)
  if (!wanted) return undefined
  const value = valueAfter(text, separatorEnd(text, separator), { wholeLine: quote === '' && kind === 'header', keyQuote: quote })
  if (!value || (wanted === 'in parameters' && !inParameters(text, start, value))) return undefined
  return isLiteralHeader(key, text.slice(value.start, value.end)) ? undefined : value
}

/** Behind `:` and `=`, and behind `:=` and `=>`, which are as much of a separator. */
function separatorEnd(text: string, separator: number): number {
  const two = text.slice(separator, separator + 2)
  return separator + (two === ':=' || two === '=>' ? 2 : 1)
}

function isWanted(key: string, kind: KeyKind, assigned: boolean, rules: Rules): 'everywhere' | 'in parameters' | undefined {
  if (kind === 'header') return rules.sensitiveHeaders(key) ? 'everywhere' : undefined
  if (kind === 'secret') return rules.secretKeys(key) ? 'everywhere' : undefined
  return kind === 'parameter' && assigned && rules.urls(key) ? 'in parameters' : undefined
}

/** What the user wrote into the program as a header is shown where that header is. */
function isLiteralHeader(name: string, value: string): boolean {
  return name.includes('-') && !isSensitiveHeader(name) && literals.has(value)
}

/** `code` is an authorization code in a URL or a form; anywhere else it is a number that people need to see. */
function inParameters(text: string, keyStart: number, value: FoundValue): boolean {
  const before = text.charAt(keyStart - 1)
  return before === '?' || before === '&' || before === '#' || text.charAt(value.end) === '&'
}

function isOfKey(code: number): boolean {
  return code === 0x5f || code === 0x2d || (code < 128 && code > 0x2f && code !== equals && code !== 0x7e && ofRun[code] === 1)
}

function endingHash(a: number, b: number, c: number): number {
  return ((a & 31) << 10) | ((b & 31) << 5) | (c & 31)
}

// Dashes are common in logs, this word is not.
const keyBegin = 'BEGIN '
const dashes = 5
const keyHead = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/y
const keyRest = /(?:[A-Za-z0-9+/=\s:,.]|\\[nrt\\]|-(?!-)){0,16384}(?:-----END [A-Z0-9 ]{0,60}-----)?/y

/** Private keys in PEM, also inside a JSON string, also cut off. */
export function privateKeys(text: string, rules: Rules): Finding[] {
  const found: Finding[] = []
  for (let at = text.indexOf(keyBegin); at !== -1; at = text.indexOf(keyBegin, at + keyBegin.length)) {
    const start = at - dashes
    keyHead.lastIndex = Math.max(0, start)
    if (start < 0 || !keyHead.test(text)) continue
    keyRest.lastIndex = keyHead.lastIndex
    keyRest.test(text)
    at = keyRest.lastIndex
    if (rules.vendorShapes(text.slice(start, at))) found.push({ start, end: at, replacement: '[REDACTED:private-key]' })
  }
  return found
}
