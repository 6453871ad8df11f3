/** A part of a text. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** Shorter blobs are ids and words. */
export const minimumBlob = 32
const hex = /[0-9a-fA-F]{32,}/g
const pieces = /[A-Za-z0-9+/_-]{32,}={0,2}/g
const piecesWithoutSlash = /[A-Za-z0-9+_-]{32,}={0,2}/g
// Random base64 changes between lower case, upper case and digits at more than half of its places, and a quarter of it is in stretches of three
// and more of a kind; of paths and names it is one of six places, and most of the text.
const leastChanges = 0.33
const mostInStretches = 0.55

/** Hexadecimal of 32 and more characters. */
export function hexBlobsIn(run: string): Range[] {
  return rangesOf(hex, run)
}

/** Base64 and base64url text of 32 and more characters that looks random. */
export function randomBlobsIn(run: string): Range[] {
  const found: Range[] = []
  for (const piece of rangesOf(pieces, run)) {
    const text = run.slice(piece.start, piece.end)
    if (looksRandom(text)) found.push(piece)
    else if (text.includes('/')) {
      // A random part of a path, whose other parts are words.
      for (const part of rangesOf(piecesWithoutSlash, text)) {
        if (looksRandom(text.slice(part.start, part.end))) found.push({ start: piece.start + part.start, end: piece.start + part.end })
      }
    }
  }
  return found
}

function rangesOf(expression: RegExp, text: string): Range[] {
  const found: Range[] = []
  if (text.length < minimumBlob) return found
  expression.lastIndex = 0
  for (let match = expression.exec(text); match; match = expression.exec(text)) {
    found.push({ start: match.index, end: match.index + match[0].length })
  }
  return found
}

function looksRandom(text: string): boolean {
  const count = [0, 0, 0]
  let changes = 0
  let inStretches = 0
  let stretch = 0
  let last = -1
  for (let i = 0; i < text.length; i++) {
    const kind = kindOf(text.charCodeAt(i))
    if (kind === undefined) continue
    count[kind]! += 1
    if (kind === last) stretch += 1
    else {
      changes += 1
      stretch = 1
      last = kind
    }
    if (stretch === 3) inStretches += 3
    else if (stretch > 3) inStretches += 1
  }
  const enough = count.every((of) => of >= 2)
  return enough && changes >= text.length * leastChanges && inStretches <= text.length * mostInStretches
}

/** 0 lower case, 1 upper case, 2 digit; signs join what stands on both sides of them. */
function kindOf(code: number): 0 | 1 | 2 | undefined {
  if (code >= 0x61 && code <= 0x7a) return 0
  if (code >= 0x41 && code <= 0x5a) return 1
  return code >= 0x30 && code <= 0x39 ? 2 : undefined
}
