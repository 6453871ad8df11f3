import { createHash, createHmac } from 'node:crypto'
import { posix } from 'node:path'

/** A request as a server receives it: `url` and header values one character per byte, as node:http gives them. */
export interface WireRequest {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/** What a request claims in its `Authorization`. */
export interface Claim {
  readonly accessKeyId: string
  readonly day: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

/** SigV4 as its documentation tells it, for the server's side, slow and plain, sharing nothing with the code under test. */
export function readClaim(request: WireRequest): Claim | undefined {
  const header = headersOf(request).get('authorization')?.[0] ?? ''
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      header
    )
  if (!match) return undefined
  const [, accessKeyId, day, region, service, signedHeaders, signature] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
    string
  ]
  return { accessKeyId, day, region, service, signedHeaders: signedHeaders.split(';'), signature }
}

export function headersOf(request: WireRequest): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] as string).toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), request.rawHeaders[i + 1] as string])
  }
  return headers
}

/** The signature that a request must carry; `claim` only says which headers count. */
export function expectedSignature(request: WireRequest, claim: Claim, secretAccessKey: string): string {
  const headers = headersOf(request)
  const payload = headers.get('x-amz-content-sha256')?.[0] === 'UNSIGNED-PAYLOAD' ? 'UNSIGNED-PAYLOAD' : sha256(request.body)
  const [path, query] = split(request.url, '?')
  const canonical = [
    request.method,
    [...Buffer.from(posix.normalize(path), 'latin1')].map((byte) => (byte === 0x2f ? '/' : percent(byte))).join(''),
    [...new URLSearchParams(query)]
      .map(([name, value]) => [strict(name), strict(value)] as const)
      .sort(([a, x], [b, y]) => order(a, b) || order(x, y))
      .map((pair) => pair.join('='))
      .join('&'),
    ...claim.signedHeaders.map(
      (name) => `${name}:${(headers.get(name) ?? []).map((value) => value.trim().replace(/\s+/g, ' ')).join(',')}`
    ),
    '',
    claim.signedHeaders.join(';'),
    payload
  ].join('\n')
  const scope = `${claim.day}/${claim.region}/${claim.service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', headers.get('x-amz-date')?.[0], scope, sha256(canonical)].join('\n')
  const key = [claim.day, claim.region, claim.service, 'aws4_request'].reduce<string | Buffer>(
    (before, part) => createHmac('sha256', before).update(part).digest(),
    `AWS4${secretAccessKey}`
  )
  return createHmac('sha256', key).update(text).digest('hex')
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at)
  return index === -1 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)]
}

function percent(byte: number): string {
  return /[\w\-.~]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`
}

function strict(text: string): string {
  return [...Buffer.from(text)].map(percent).join('')
}

function order(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}
