import { minimumForm, type SecretForm, secretForms } from './secret-forms.ts'

/** Where a secret stands in a text, and what is put in its place. */
export interface FoundSecret {
  readonly start: number
  readonly end: number
  readonly replacement: string
}

/** Finds any of many secrets in a text, in all their forms, in one pass. */
export interface SecretMatcher {
  /** Costs the same however many secrets there are already. */
  add(secret: string, replacement: string): AddedSecret
  /** In the order of their starts; they may overlap. */
  find(text: string): FoundSecret[]
}

/** A secret in the matcher. */
export interface AddedSecret {
  remove(): void
}

/** One form of one secret. The text of a form is not kept (a token of 2 KiB has 20 KiB of forms): it is written again where the probe fits. */
interface Pattern {
  readonly secret: string
  readonly replacement: string
  readonly form: SecretForm
  /** Where in the form the four windows begin. */
  readonly anchor: number
  /** A piece of the form, from `probeAt` on. */
  readonly probe: string
  readonly probeAt: number
}

// The text is read in aligned words of four characters, each once. A pattern is therefore entered at four neighbouring offsets: whatever its
// alignment, one of its windows is a word. Two bytes of code units beyond Latin-1 lose their upper half on both sides, which only costs a
// comparison. An automaton (Aho-Corasick) would read every character and be built again for every new secret.
const windows = 4
const chunkLength = 1 << 16
const filterBits = 20
const bucketBits = 16
// V8 copies a slice up to this length; a longer one would keep the whole form alive.
const probeLength = 12
const crowded = 8

/** Makes an empty matcher. */
export function createSecretMatcher(): SecretMatcher {
  const bytes = new Uint8Array(chunkLength)
  const words = new Uint32Array(bytes.buffer)
  const buffer = Buffer.from(bytes.buffer)
  /** One bit for each hash of a window; a bit outlives its pattern until `sweep`. */
  const filter = new Uint32Array(1 << (filterBits - 5))
  const buckets = new Map<number, Map<number, Array<{ pattern: Pattern; window: number }>>>()
  return { add, find }
}
