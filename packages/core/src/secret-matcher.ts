import { minimumForm, type SecretForm, secretForms } from './secret-forms.ts'

/** Where a secret stands in a text, and what is put in its place. */
export interface FoundSecret {
  readonly start: number
  readonly end: number
  readonly replacement: string
}

/** Finds any of many secrets, in all their forms, in one pass over a text. */
export interface SecretMatcher {
  /** Costs the same however many secrets there are already. Returns what takes the secret out again. */
  add(secret: string, replacement: string): () => void
  /** Sorted by their starts; they may overlap. */
  find(text: string): FoundSecret[]
}

/** One form of one secret. Its text is not kept (a token of 2 KiB has 20 KiB of forms): it is written again where the probe fits. */
interface Pattern {
  readonly secret: string
  readonly replacement: string
  readonly form: SecretForm
  /** Where in the form the windows begin. */
  readonly anchor: number
  /** The piece of the form that begins there. */
  readonly probe: string
}

// The text is read in aligned words of four characters, each once. A pattern is entered with four neighbouring windows: whatever its
// alignment in the text, one of them is a word. Code units beyond Latin-1 lose their upper half on both sides, which only costs a comparison.
// An automaton (Aho-Corasick) would read every character and would have to be built again for every new secret.
const windows = 4
const wordLength = 4
const chunkLength = 1 << 16
const filterBits = 20
// V8 copies a slice up to this length; a longer one would keep the whole form alive.
const probeLength = 12
/** A window that so many patterns have already is avoided where there is another (the tokens of one issuer begin alike). */
const crowded = 4

/** Makes an empty matcher. */
export function createSecretMatcher(): SecretMatcher {
  const chunk = Buffer.alloc(chunkLength)
  const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunkLength / wordLength)
  /** One bit per hashed window. A bit outlives its pattern until the next sweep. */
  const filter = new Uint32Array(1 << (filterBits - 5))
  /** Window → places, each the pattern's number times four plus the window's. */
  const places = new Map<number, number[]>()
  const patterns: Array<Pattern | undefined> = []
  const free: number[] = []
  let removed = 0

  function add(secret: string, replacement: string): () => void {
    const numbers = formsOf(secret).map(({ form, text }) => enter(secret, replacement, form, text))
    return () => {
      for (const number of numbers) leave(number)
    }
  }

  function enter(secret: string, replacement: string, form: SecretForm, text: string): number {
    const anchor = quietest(text)
    const number = free.pop() ?? patterns.length
    patterns[number] = { secret, replacement, form, anchor, probe: text.slice(anchor, anchor + probeLength) }
    for (let window = 0; window < windows; window++) {
      const word = wordAt(text, anchor + window)
      const bucket = places.get(word)
      if (bucket) bucket.push(number * windows + window)
      else places.set(word, [number * windows + window])
      const hash = hashOf(word)
      filter[hash >>> 5]! |= 1 << (hash & 31)
    }
    return number
  }

  function leave(number: number): void {
    const { probe } = patterns[number] as Pattern
    for (let window = 0; window < windows; window++) {
      const word = wordAt(probe, window)
      const rest = (places.get(word) as number[]).filter((place) => place !== number * windows + window)
      if (rest.length > 0) places.set(word, rest)
      else places.delete(word)
    }
    patterns[number] = undefined
    free.push(number)
    removed += 1
    if (removed > patterns.length) sweep()
  }

  function sweep(): void {
    removed = 0
    filter.fill(0)
    for (const word of places.keys()) {
      const hash = hashOf(word)
      filter[hash >>> 5]! |= 1 << (hash & 31)
    }
  }

  /** Where a form is least like the others: the end of it first, because tokens and keys begin alike. */
  function quietest(text: string): number {
    const last = text.length - minimumForm
    let best = last
    let least = Number.POSITIVE_INFINITY
    for (const anchor of [last, last - 5, last - 10, Math.floor(last / 2), 0]) {
      if (anchor < 0) continue
      const load = crowdAt(text, anchor)
      if (load < least) {
        best = anchor
        least = load
      }
      if (least < crowded) break
    }
    return best
  }

  function crowdAt(text: string, anchor: number): number {
    let load = 0
    for (let window = 0; window < windows; window++) load += places.get(wordAt(text, anchor + window))?.length ?? 0
    return load
  }

  function find(text: string): FoundSecret[] {
    const found: FoundSecret[] = []
    if (places.size === 0 || text.length < minimumForm) return found
    for (let offset = 0; offset < text.length; offset += chunkLength) {
      const length = chunk.write(text.slice(offset, offset + chunkLength), 0, 'latin1')
      const end = length >>> 2
      for (let i = 0; i < end; i++) {
        const word = words[i] as number
        const hash = hashOf(word)
        if (((filter[hash >>> 5] as number) >>> (hash & 31)) & 1) probe(text, word, offset + i * wordLength, found)
      }
    }
    // The chunk must not keep the text of the last call.
    chunk.fill(0, 0, Math.min(text.length, chunkLength))
    return found.sort((a, b) => a.start - b.start || b.end - a.end)
  }

  function probe(text: string, word: number, at: number, found: FoundSecret[]): void {
    const bucket = places.get(word)
    if (!bucket) return
    for (const place of bucket) {
      const pattern = patterns[Math.floor(place / windows)] as Pattern
      const anchorAt = at - (place % windows)
      if (!text.startsWith(pattern.probe, anchorAt)) continue
      const start = anchorAt - pattern.anchor
      const written = pattern.form.write(pattern.secret)
      if (start >= 0 && text.startsWith(written, start)) found.push(matchOf(text, start, start + written.length, pattern))
    }
  }

  return { add, find }
}

function formsOf(secret: string): Array<{ form: SecretForm; text: string }> {
  const seen = new Set<string>()
  const forms: Array<{ form: SecretForm; text: string }> = []
  for (const form of secretForms) {
    const text = form.write(secret)
    if (text.length < minimumForm || seen.has(text)) continue
    seen.add(text)
    forms.push({ form, text })
  }
  return forms
}

function matchOf(text: string, start: number, end: number, { form, replacement }: Pattern): FoundSecret {
  if (!form.trail) return { start, end, replacement }
  // The neighbours of a base64 form hold some of the secret's bits.
  let from = start
  if (isBase64(text.charCodeAt(start - 1))) from -= form.lead
  let to = end
  if (isBase64(text.charCodeAt(to))) to += 1
  while (to < end + 3 && text[to] === '=') to += 1
  return { start: from, end: to, replacement }
}

function isBase64(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === 0x2b ||
    code === 0x2d ||
    code === 0x2f ||
    code === 0x5f
  )
}

/** As the four characters look when they are read as one word, in this machine's byte order. */
function wordAt(text: string, at: number): number {
  const four = [0, 1, 2, 3].map((i) => text.charCodeAt(at + i) & 0xff)
  const [a, b, c, d] = (littleEndian ? four : four.reverse()) as [number, number, number, number]
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

function hashOf(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - filterBits)
}
