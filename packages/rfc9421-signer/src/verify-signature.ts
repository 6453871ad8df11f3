import { invalidOption, McpAuthError } from '@mcpauth/core'
import { type BareItem, type InnerList, serializeInnerList } from 'structured-headers'
import type { SignatureAlgorithm } from './algorithms.ts'
import { checkContentDigest } from './content-digest.ts'
import type { HttpMessage } from './http-message.ts'
import { receivedBody, receivedMessage, type SignedRequest, type SignedResponse } from './received-message.ts'
import { parseSignatureAgent, type SignatureAgentEntry } from './signature-agent.ts'
import { baseLine, type CoveredComponent, coverable, signatureBase } from './signature-base.ts'
import { type SignatureCandidate, signatureCandidates } from './signature-candidates.ts'
import { signatureInvalid } from './signature-error.ts'
import { componentOf, parseComponent, refuseRepeated } from './signature-params.ts'
import { type KeyOptions, loadVerificationKey, type VerificationKey } from './signing-keys.ts'
import type { FieldType } from './structured-fields.ts'
import { type VerificationDirectory, verificationKeyFor } from './verification-key.ts'

/** Where nonces are remembered. */
export interface NonceStore {
  /** Remembers a nonce until `expiresAtMs`; false when it is known already. Asked only about signatures that hold. */
  add(nonce: string, expiresAtMs: number): boolean | Promise<boolean>
}

/** Options of {@link verifySignature}. */
export interface VerifyOptions {
  /** The keys that are known. */
  readonly keys?: readonly KeyOptions[]
  /** A key directory, as {@link keyDirectory} publishes it. */
  readonly directory?: VerificationDirectory
  /** The components that must be covered. @default one of @authority and @target-uri; for a response none */
  readonly required?: readonly string[]
  /** The oldest signature that counts, in seconds, from its `created`. @default 300 */
  readonly maxAgeSeconds?: number
  /** How far the clocks may differ, in seconds. @default 30 */
  readonly clockToleranceSeconds?: number
  /** The tag it must have. @default any */
  readonly tag?: string
  /** The label of the signature that is meant. @default any */
  readonly label?: string
  /** Makes a nonce necessary, and each good for once. */
  readonly nonces?: NonceStore
  /** The structured types of fields that are covered with `sf` and are not registered. */
  readonly fieldTypes?: Readonly<Record<string, FieldType>>
  /** The clock, in milliseconds since the epoch. @default Date.now */
  readonly now?: () => number
}

/** What a signature that holds says. */
export interface VerifiedSignature {
  readonly label: string
  readonly keyId: string | undefined
  readonly algorithm: SignatureAlgorithm
  /** The component identifiers it covers, in their order. */
  readonly components: readonly string[]
  /** Seconds since the epoch. */
  readonly created: number
  /** Seconds since the epoch. */
  readonly expires: number | undefined
  readonly nonce: string | undefined
  readonly tag: string | undefined
  /** Who says it has signed. Covered, or it would be undefined. */
  readonly signatureAgent: SignatureAgentEntry | undefined
  /** Whether the body was held against a covered Content-Digest. */
  readonly bodyVerified: boolean
}

/**
 * Verifies one signature of a request or a response (RFC 9421 §3.2): for servers and for tests. Of several signatures the first that holds counts.
 *
 * Times are checked by the caller's clock, the algorithm is the key's and never the message's, and a nonce is spent only when everything else holds.
 * An `ed25519` key of a directory needs no `alg`, an RSA key without one is taken for rsa-pss-sha512.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` whatever is wrong with the message; nothing else, however malformed it is.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_KEY_INVALID`, `MCPAUTH_CREDENTIAL_MISSING` whatever is wrong with the options.
 *
 * @example
 * ```ts
 * import { verifySignature } from '@mcpauth/rfc9421-signer'
 *
 * export async function botOf(request: Request, publicKey: { kty: string }): Promise<string | undefined> {
 *   const { keyId } = await verifySignature(request, { keys: [{ key: publicKey }], tag: 'web-bot-auth' })
 *   return keyId
 * }
 * ```
 */
export async function verifySignature(message: SignedRequest | SignedResponse, options: VerifyOptions): Promise<VerifiedSignature> {
  const policy = policyFrom(options, 'status' in message)
  const seen = receivedMessage(message)
  const candidates = signatureCandidates(seen, policy)
  let failure: McpAuthError | undefined
  for (const candidate of candidates) {
    try {
      return await verifyCandidate(candidate, seen, receivedBody(message), policy)
    } catch (error) {
      if (!McpAuthError.is(error) || error.code !== 'MCPAUTH_SIGNATURE_INVALID') throw error
      failure ??= error
    }
  }
  // There is at least one candidate, so at least one failure.
  throw failure
}

interface Policy extends VerifyOptions {
  readonly known: readonly VerificationKey[]
  /** Identities of which each must be covered. */
  readonly requiredAll: readonly string[]
  /** Identities of which one must be covered. */
  readonly requiredOne: readonly string[]
  readonly maxAge: number
  readonly tolerance: number
  readonly nowSeconds: number
}

function policyFrom(options: VerifyOptions, isResponse: boolean): Policy {
  const { keys = [], directory, required, maxAgeSeconds = 300, clockToleranceSeconds = 30, now = Date.now } = options
  if (keys.length === 0 && directory === undefined) throw invalidOption('keys', 'there is neither a key nor a directory')
  checkSeconds('maxAgeSeconds', maxAgeSeconds)
  checkSeconds('clockToleranceSeconds', clockToleranceSeconds)
  return {
    ...options,
    known: keys.map(loadVerificationKey),
    requiredAll: (required ?? []).map(requiredIdentity),
    requiredOne: required === undefined && !isResponse ? ['@authority', '@target-uri'].map(requiredIdentity) : [],
    maxAge: maxAgeSeconds,
    tolerance: clockToleranceSeconds,
    nowSeconds: now() / 1000
  }
}

function requiredIdentity(text: string): string {
  return parseComponent(text, (fact) => invalidOption('required', fact)).identity
}

function checkSeconds(option: string, value: unknown): void {
  if (!(typeof value === 'number' && value >= 0)) throw invalidOption(option, 'is not a number of seconds')
}

interface Stated {
  readonly created: number
  readonly expires: number | undefined
  readonly keyId: string | undefined
  readonly alg: string | undefined
  readonly nonce: string | undefined
  readonly tag: string | undefined
}

async function verifyCandidate(
  { label, input, signature }: SignatureCandidate,
  message: HttpMessage,
  body: Uint8Array | undefined,
  policy: Policy
): Promise<VerifiedSignature> {
  const stated = statedBy(input)
  checkTimes(stated, policy)
  const components = componentsOf(input, policy)
  checkRequired(components, policy)
  if (policy.nonces && stated.nonce === undefined) throw signatureInvalid('nonce: missing')
  const signatureAgent = coveredAgent(components, message, label)
  const key = await verificationKeyFor({ ...stated, signatureAgent }, policy)
  const lines = components.map((component) => baseLine(component, message)).join('')
  if (!holds(key, signatureBase(lines, paramsOf(input)), signature)) throw signatureInvalid('the signature does not fit the message')
  const bodyVerified = checkBody(components, message, body)
  await spendNonce(stated, policy)
  return {
    label,
    keyId: stated.keyId,
    algorithm: key.algorithm,
    components: components.map(({ text }) => text),
    created: stated.created,
    expires: stated.expires,
    nonce: stated.nonce,
    tag: stated.tag,
    signatureAgent,
    bodyVerified
  }
}

function statedBy([, parameters]: InnerList): Stated {
  const created = integerOf('created', parameters.get('created'))
  if (created === undefined) throw signatureInvalid('created: missing')
  return {
    created,
    expires: integerOf('expires', parameters.get('expires')),
    keyId: textOf('keyid', parameters.get('keyid')),
    alg: textOf('alg', parameters.get('alg')),
    nonce: textOf('nonce', parameters.get('nonce')),
    tag: textOf('tag', parameters.get('tag'))
  }
}

function integerOf(name: string, value: BareItem | undefined): number | undefined {
  if (value !== undefined && !Number.isInteger(value)) throw signatureInvalid(`${name}: not a whole number`)
  return value as number | undefined
}

function textOf(name: string, value: BareItem | undefined): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw signatureInvalid(`${name}: not a text`)
  return value
}

function checkTimes({ created, expires }: Stated, { nowSeconds, maxAge, tolerance }: Policy): void {
  if (created > nowSeconds + tolerance) throw signatureInvalid('created: in the future', 'check the clocks of both machines')
  if (created + maxAge + tolerance < nowSeconds) throw signatureInvalid('created: too long ago', 'check the clocks of both machines')
  if (expires !== undefined && expires + tolerance < nowSeconds) throw signatureInvalid('expires: the signature has expired')
  if (expires !== undefined && expires < created) throw signatureInvalid('expires: before it was created')
}

function componentsOf([items]: InnerList, { fieldTypes }: Policy): CoveredComponent[] {
  const components = items.map((item) => coverable(componentOf(item, signatureInvalid), fieldTypes, signatureInvalid))
  refuseRepeated(components, signatureInvalid)
  return components
}

function checkRequired(components: readonly CoveredComponent[], { requiredAll, requiredOne }: Policy): void {
  const covered = new Set(components.map(({ identity }) => identity))
  const missing = requiredAll.find((identity) => !covered.has(identity))
  if (missing !== undefined) throw signatureInvalid(`${missing}: not covered`)
  if (requiredOne.length > 0 && !requiredOne.some((identity) => covered.has(identity))) {
    throw signatureInvalid(`neither ${requiredOne.join(' nor ')} is covered`)
  }
}

/** The `Signature-Agent` that this very signature covers: another's says nothing about who made this one. */
function coveredAgent(components: readonly CoveredComponent[], message: HttpMessage, label: string): SignatureAgentEntry | undefined {
  const covering = components.find(({ name, parameters }) => name === 'signature-agent' && !parameters.has('req') && !parameters.has('bs'))
  const field = covering && message.fields('signature-agent')?.join(', ')
  if (!covering || field === undefined) return undefined
  const key = covering.parameters.get('key')
  return parseSignatureAgent(field).find((entry) => entry.label === undefined || entry.label === (key ?? label))
}

/** `@signature-params` as this message states it, serialised strictly (RFC 9421 §2.3). */
function paramsOf(input: InnerList): string {
  try {
    return serializeInnerList(input)
  } catch {
    throw signatureInvalid('signature-input: not a well-formed structured field')
  }
}

function holds(key: VerificationKey, base: Uint8Array, signature: Uint8Array): boolean {
  try {
    return key.verify(base, signature)
  } catch {
    // OpenSSL throws for some signatures that cannot be any.
    return false
  }
}

function checkBody(components: readonly CoveredComponent[], message: HttpMessage, body: Uint8Array | undefined): boolean {
  const covered = components.some(({ name, parameters }) => name === 'content-digest' && !parameters.has('req'))
  if (!covered || body === undefined) return false
  checkContentDigest(message.fields('content-digest')?.join(', ') ?? '', body)
  return true
}

async function spendNonce({ nonce, created, expires, keyId }: Stated, { nonces, maxAge, tolerance }: Policy): Promise<void> {
  if (!nonces || nonce === undefined) return
  // Once the signature is too old, its nonce need not be remembered.
  const goodUntil = Math.min(created + maxAge, expires ?? Number.POSITIVE_INFINITY) + tolerance
  if (!(await nonces.add(`${keyId ?? ''}\n${nonce}`, goodUntil * 1000))) throw signatureInvalid('nonce: used before')
}
