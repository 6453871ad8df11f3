import type { HeaderPairs } from '@mcpauth/core'

/** A request as it goes on the wire: path, query and header values one character per byte, as undici writes them. */
export interface SignableRequest {
  readonly method: string
  /** Path and query, raw. */
  readonly path: string
  /** Every header that is sent, with `host`. Which of them are signed is decided here. */
  readonly headers: HeaderPairs
  /** The payload's SHA-256 in hex, or `UNSIGNED-PAYLOAD`. */
  readonly payloadHash: string
}

/** How a service makes the canonical path out of the one it received. */
export interface PathRules {
  /** Resolve dot segments and collapse slashes. */
  readonly normalize: boolean
  /** Percent-encode the path as it was sent once more. */
  readonly encode: boolean
}

/** Step 1 of a signature. */
export interface CanonicalRequest {
  readonly text: string
  /** The `SignedHeaders` list. */
  readonly signedHeaders: string
}

/** S3 takes the path as it is; every other service normalises it and encodes it twice. */
export function pathRulesOf(service: string): PathRules {
  return service === 's3' || service === 's3-object-lambda' || service === 's3express'
    ? { normalize: false, encode: false }
    : { normalize: true, encode: true }
}

/**
 * Step 1 of AWS Signature Version 4: the one text that both sides make out of a request.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function canonicalRequest(request: SignableRequest, rules: PathRules): CanonicalRequest {
  const target = canonicalTarget(request.path, rules)
  return assembled(request.method, target, canonicalHeaders(request.headers), request.payloadHash)
}

/** The parts put together; the signer keeps the target of the last path, which is nearly always the same. */
export function assembled(method: string, target: string, headers: Map<string, string>, payloadHash: string): CanonicalRequest {
  const names = [...headers.keys()].sort()
  const signedHeaders = names.join(';')
  let lines = ''
  for (const name of names) lines += `${name}:${headers.get(name)}\n`
  return { text: `${method}\n${target}\n${lines}\n${signedHeaders}\n${payloadHash}`, signedHeaders }
}

/** The canonical path and the canonical query, each on its line. */
export function canonicalTarget(path: string, rules: PathRules): string {
  const mark = path.indexOf('?')
  const pathname = mark === -1 ? path : path.slice(0, mark)
  return `${canonicalPath(pathname, rules)}\n${mark === -1 ? '' : canonicalQuery(path.slice(mark + 1))}`
}

function canonicalPath(pathname: string, { normalize, encode }: PathRules): string {
  const path = normalize ? normalizedPath(pathname) : pathname
  return encode ? encoded(path, '/') : path
}

function normalizedPath(pathname: string): string {
  const segments: string[] = []
  for (const segment of pathname.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return `/${segments.join('/')}${segments.length > 0 && pathname.endsWith('/') ? '/' : ''}`
}

/** Sorted by name, then by value, both as encoded; a sort of the joined pairs would compare `=` with what follows a longer name. */
function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [name: string, value: string] => {
      const equals = pair.indexOf('=')
      return equals === -1 ? [reencoded(pair), ''] : [reencoded(pair.slice(0, equals)), reencoded(pair.slice(equals + 1))]
    })
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What sits between client and service changes or drops these: signed, they would break the signature. */
const unsigned = new Set([
  'accept-encoding',
  'authorization',
  'baggage',
  'cache-control',
  'connection',
  'date',
  'expect',
  'forwarded',
  'from',
  'keep-alive',
  'max-forwards',
  'pragma',
  'referer',
  'te',
  'traceparent',
  'tracestate',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
  'x-amzn-trace-id',
  'x-real-ip'
])
const unsignedFamily = /^(?:proxy-|sec-|x-forwarded-)/
const notAscii = /[^\u0000-\u007f]/

/** Names in lower case; the values of a repeated header joined in the order in which they are sent. */
export function canonicalHeaders(headers: HeaderPairs): Map<string, string> {
  const canonical = new Map<string, string>()
  for (const [sentName, value] of headers) {
    const name = sentName.toLowerCase()
    if (unsigned.has(name) || unsignedFamily.test(name)) continue
    const text = typeof value === 'string' ? trimmed(value) : value.map(trimmed).join(',')
    // Nothing says in which encoding a service reads such a value, so it is sent unsigned; only the service's own headers must be signed.
    if (notAscii.test(text) && !name.startsWith('x-amz-')) continue
    const before = canonical.get(name)
    canonical.set(name, before === undefined ? text : `${before},${text}`)
  }
  return canonical
}

function trimmed(value: string): string {
  const text = value.trim()
  return text.includes('  ') || text.includes('\t') ? text.replace(/[ \t]+/g, ' ') : text
}

const plain = /^[A-Za-z0-9\-._~/]*$/
/** For each byte, how it is written: itself when it is unreserved (RFC 3986 §2.3), else `%XX`. */
const written: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return /[A-Za-z0-9\-._~]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

/** Percent-encodes bytes, all but the unreserved ones and `keep`. */
function encoded(bytes: string, keep: '/' | ''): string {
  if (keep === '/' && plain.test(bytes)) return bytes
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += bytes[i] === keep ? keep : written[bytes.charCodeAt(i) & 0xff]
  return text
}

/**
 * A name or value of the query as the service sees it, encoded strictly. `+` is a space, as every service reads it and URLSearchParams writes it;
 * a `%` that begins no escape stands for itself.
 */
function reencoded(text: string): string {
  const decoded = text.replaceAll('+', ' ').replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return encoded(decoded, '')
}
