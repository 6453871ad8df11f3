import { createPrivateKey, createPublicKey, createSecretKey, hash, type JsonWebKey, KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { checkVariableName, type Environment, invalidOption, McpAuthError, readVariable, secrets, warnOfReadableKey } from '@mcpauth/core'
import { getPublicKey, hashes } from '@noble/ed25519'
import {
  algorithmFor,
  algorithmNamed,
  algorithms,
  isSignatureAlgorithm,
  type Sign,
  type SignatureAlgorithm,
  type Verify
} from './algorithms.ts'
import { jwkThumbprint } from './jwk-thumbprint.ts'

/**
 * Where a key comes from: a file or an environment variable (PKCS#8 PEM, a JWK, a raw 32-byte Ed25519 seed in base64 or hex; for hmac-sha256 the secret in
 * base64), a `KeyObject`, or a JWK.
 */
export type KeySource = KeyObject | JsonWebKey | { readonly file: string } | { readonly env: string }

/** A key and how it is used. */
export interface KeyOptions {
  readonly key: KeySource
  /** @default the key's own: ed25519, rsa-pss-sha512 for RSA, the curve's for EC, hmac-sha256 for a secret */
  readonly algorithm?: SignatureAlgorithm
  /** The `keyid` parameter. @default the JWK thumbprint (RFC 7638), which withWebBotAuth and keyDirectory use too; for an HMAC secret its JWK's `kid`, or none */
  readonly keyId?: string
  /** Where `{ env }` is looked up. @default process.env */
  readonly env?: Environment
}

/** A key that signs. */
export interface SigningKey {
  readonly algorithm: SignatureAlgorithm
  readonly keyId: string | undefined
  /** The public half, with nothing else in it; undefined for a shared secret. */
  readonly publicJwk: JsonWebKey | undefined
  readonly sign: Sign
}

/** A key that verifies. */
export interface VerificationKey {
  readonly algorithm: SignatureAlgorithm
  /** The names it answers to: the `keyId` option alone where given, else the JWK's `kid` and the thumbprint. */
  readonly keyIds: readonly string[]
  readonly verify: Verify
}

/**
 * Reads a private key or a shared secret and checks it.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` no such file or variable.
 * @throws `MCPAUTH_KEY_INVALID` not a key, a public key, not a key for the algorithm, or too short. The message names where it is from, never what it holds.
 */
export function loadSigningKey(options: KeyOptions): SigningKey {
  const { key, kid, alg, from } = readKey(options)
  if (key.type === 'public') {
    throw keyInvalid(
      `${from} is a public key, and signing takes the private one`,
      'give the private key; publish the public one with keyDirectory'
    )
  }
  const algorithm = chooseAlgorithm(options.algorithm, alg, key, from)
  const sign = algorithms[algorithm].signer(key)
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  checkPair(sign, algorithms[algorithm].verifier(publicKey), from)
  const publicJwk = key.type === 'private' ? publicMembers(publicKey) : undefined
  return { algorithm, keyId: options.keyId ?? (publicJwk ? jwkThumbprint(publicJwk) : kid), publicJwk, sign }
}

/**
 * Reads a public key, the public half of a private one, or a shared secret.
 *
 * @throws the codes of {@link loadSigningKey}
 */
export function loadVerificationKey(options: KeyOptions): VerificationKey {
  const { key, kid, alg, from } = readKey(options)
  const algorithm = chooseAlgorithm(options.algorithm, alg, key, from)
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  const thumbprint = publicKey.type === 'public' ? jwkThumbprint(publicMembers(publicKey)) : undefined
  const keyIds = options.keyId === undefined ? [kid, thumbprint] : [options.keyId]
  return { algorithm, keyIds: keyIds.filter((id) => id !== undefined), verify: algorithms[algorithm].verifier(publicKey) }
}

interface ReadKey {
  readonly key: KeyObject
  readonly kid?: string | undefined
  readonly alg?: unknown
  /** Where it is from, for messages. */
  readonly from: string
}

function readKey(options: KeyOptions): ReadKey {
  const source: unknown = options.key
  if (source instanceof KeyObject) return { key: source, from: 'option key' }
  if (typeof source !== 'object' || source === null) {
    throw invalidOption('key', 'is not a key', "give { file: 'path' }, { env: 'NAME' }, a KeyObject or a JWK")
  }
  if ('kty' in source) return keyFromJwk(source as JsonWebKey, 'option key')
  if ('file' in source && typeof source.file === 'string')
    return keyFromText(readKeyFile(source.file), `file ${source.file}`, options.algorithm)
  if ('env' in source && typeof source.env === 'string') {
    checkVariableName('key.env', source.env)
    // biome-ignore lint/style/noProcessEnv: the one place where this package reads the environment, and it can be replaced.
    const { env = process.env } = options
    return keyFromText(readVariable(source.env, env), `variable ${source.env}`, options.algorithm)
  }
  throw invalidOption('key', 'is not a key', "give { file: 'path' }, { env: 'NAME' }, a KeyObject or a JWK")
}

function readKeyFile(file: string): string {
  try {
    warnOfReadableKey(file)
    return readFileSync(file, 'utf8')
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `key file ${file} cannot be read (${why})`, {
      hint: 'check the path and that this user may read it'
    })
  }
}

const hexSeed = /^[0-9a-f]{64}$/i
const base64Text = /^[A-Za-z0-9+/_-]+={0,2}$/

function keyFromText(raw: string, from: string, algorithm: SignatureAlgorithm | undefined): ReadKey {
  const text = raw.trim()
  if (text.startsWith('{')) return keyFromJwk(parseJwk(text, from), from)
  if (text.includes('-----BEGIN')) return { key: keyFromPem(text, from), from }
  secrets.add(text, 'signing key')
  if (algorithm === 'hmac-sha256' && base64Text.test(text)) return { key: createSecretKey(Buffer.from(text, 'base64')), from }
  const seed = seedOf(text)
  if (seed) return { key: keyFromSeed(seed, from), from }
  throw keyInvalid(
    `${from} holds no key that is known here`,
    'it takes PKCS#8 PEM, a JWK, a raw 32-byte Ed25519 seed in base64 or hex, or for hmac-sha256 a secret in base64'
  )
}

function seedOf(text: string): Uint8Array | undefined {
  if (hexSeed.test(text)) return Buffer.from(text, 'hex')
  const bytes = base64Text.test(text) ? Buffer.from(text, 'base64') : undefined
  return bytes?.byteLength === 32 ? bytes : undefined
}

/** node:crypto takes an Ed25519 seed only together with its public key. */
function keyFromSeed(seed: Uint8Array, from: string): KeyObject {
  // noble leaves the hash of its synchronous functions to its user; a program that has chosen one keeps it.
  hashes.sha512 ??= (message) => Uint8Array.from(hash('sha512', message, 'buffer'))
  const x = Buffer.from(getPublicKey(seed)).toString('base64url')
  return importJwk({ kty: 'OKP', crv: 'Ed25519', d: Buffer.from(seed).toString('base64url'), x }, from)
}

function keyFromPem(text: string, from: string): KeyObject {
  secrets.add(text, 'signing key')
  secrets.add(text.replace(/-----[^-]*-----|\s/g, ''), 'signing key')
  if (/ENCRYPTED/.test(text)) throw keyInvalid(`${from} is encrypted`, 'decrypt it first: openssl pkcs8 -in key.pem -out plain.pem')
  try {
    return /PUBLIC KEY/.test(text) ? createPublicKey(text) : createPrivateKey(text)
  } catch {
    // What node:crypto throws may quote the key.
    throw keyInvalid(`${from} is not a readable PEM key`, 'make one with: openssl genpkey -algorithm ed25519')
  }
}

function parseJwk(text: string, from: string): JsonWebKey {
  try {
    return JSON.parse(text) as JsonWebKey
  } catch {
    // What JSON.parse throws quotes the key.
    secrets.add(text, 'signing key')
    throw keyInvalid(`${from} starts like a JWK and is not JSON`)
  }
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'] as const

function keyFromJwk(jwk: JsonWebKey, from: string): ReadKey {
  for (const member of privateMembers) if (typeof jwk[member] === 'string') secrets.add(jwk[member], 'signing key')
  const kid = typeof jwk.kid === 'string' ? jwk.kid : undefined
  const isSeed = jwk.kty === 'OKP' && jwk.crv === 'Ed25519' && typeof jwk.d === 'string' && jwk.x === undefined
  const key = isSeed ? keyFromSeed(seedOf(jwk.d as string) ?? malformedJwk(from), from) : importJwk(jwk, from)
  if (key.type === 'private') checkPublicMembers(jwk, createPublicKey(key), from)
  return { key, kid, alg: jwk.alg, from }
}

function importJwk(jwk: JsonWebKey, from: string): KeyObject {
  try {
    if (jwk.kty === 'oct') return createSecretKey(Buffer.from(jwk.k as string, 'base64url'))
    return jwk.d === undefined ? createPublicKey({ key: jwk, format: 'jwk' }) : createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    return malformedJwk(from)
  }
}

function malformedJwk(from: string): never {
  throw keyInvalid(`${from} is not a usable JWK`)
}

/** node:crypto takes a private JWK's own word for its public half in some cases: a wrong one would publish a key id that is not this key's. */
function checkPublicMembers(jwk: JsonWebKey, publicKey: KeyObject, from: string): void {
  const real = publicMembers(publicKey)
  for (const member of ['x', 'y', 'n', 'e'] as const) {
    if (jwk[member] !== undefined && jwk[member] !== real[member])
      throw keyInvalid(`${from} is a JWK whose private and public half do not belong together`)
  }
}

function publicMembers(publicKey: KeyObject): JsonWebKey {
  if (publicKey.asymmetricKeyType !== 'rsa-pss') return publicKey.export({ format: 'jwk' })
  // node:crypto gives an rsa-pss key no JWK form. Its modulus and exponent are those of an RSA key, and stand alike in its SPKI.
  const key = rsaPublicKeyIn(publicKey.export({ format: 'der', type: 'spki' }))
  return createPublicKey({ key, format: 'der', type: 'pkcs1' }).export({ format: 'jwk' })
}

/** The RSAPublicKey inside a SubjectPublicKeyInfo: SEQUENCE { SEQUENCE algorithm, BIT STRING key } (RFC 5280 §4.1). */
function rsaPublicKeyIn(spki: Buffer): Buffer {
  const algorithm = contentStart(spki, 0)
  const bits = contentStart(spki, algorithm) + contentLength(spki, algorithm)
  // A BIT STRING begins with the number of bits that its last byte lacks.
  return spki.subarray(contentStart(spki, bits) + 1)
}

/** DER: a length below 128 is one byte; a longer one says first how many bytes it takes. */
function contentStart(der: Buffer, at: number): number {
  const first = der[at + 1] as number
  return at + 2 + (first < 0x80 ? 0 : first & 0x7f)
}

function contentLength(der: Buffer, at: number): number {
  const first = der[at + 1] as number
  return first < 0x80 ? first : der.readUIntBE(at + 2, first & 0x7f)
}

function chooseAlgorithm(wanted: unknown, alg: unknown, key: KeyObject, from: string): SignatureAlgorithm {
  if (wanted !== undefined && !isSignatureAlgorithm(wanted)) {
    throw invalidOption('algorithm', 'is not one of RFC 9421', `it takes ${Object.keys(algorithms).join(', ')}`)
  }
  const own = alg === undefined ? undefined : algorithmNamed(alg)
  if (alg !== undefined && own === undefined) throw keyInvalid(`${from} is a JWK for an algorithm that RFC 9421 does not have`)
  if (wanted !== undefined && own !== undefined && own !== wanted) throw keyInvalid(`${from} is a key for ${own}, not for ${wanted}`)
  const algorithm = wanted ?? own ?? algorithmFor(key)
  if (algorithm === undefined) throw keyInvalid(`${from} is a kind of key that RFC 9421 has no algorithm for`)
  const fault = algorithms[algorithm].faultOf(key)
  if (fault !== undefined) throw keyInvalid(`${from} cannot be used for ${algorithm}: ${fault}`)
  return algorithm
}

/** A key whose parts do not belong together makes signatures that nobody accepts: better told now. */
function checkPair(sign: Sign, verify: Verify, from: string): void {
  const probe = Buffer.from('mcpauth')
  let valid = false
  try {
    valid = verify(probe, sign(probe))
  } catch {
    // The reason may quote the key; that it does not work is what counts.
  }
  if (!valid) throw keyInvalid(`${from} does not verify its own signature: its parts do not belong together`)
}

function keyInvalid(fact: string, hint?: string): McpAuthError {
  return new McpAuthError('MCPAUTH_KEY_INVALID', fact, hint === undefined ? {} : { hint })
}
