import { type Interceptor, invalidOption } from '@mcpauth/core'
import type { DigestAlgorithm } from './content-digest.ts'
import { callersNonces, freshNonces, messageSigner } from './message-signer.ts'
import { type SignatureAgent, signatureAgentMember, wellKnownDirectory } from './signature-agent.ts'
import { type KeyOptions, loadSigningKey, type SigningKey } from './signing-keys.ts'
import { digestsFrom, type SigningLayerOptions, signingLayer } from './signing-layer.ts'

/** Options of {@link withWebBotAuth}. */
export interface WebBotAuthOptions extends Omit<KeyOptions, 'keyId'>, SigningLayerOptions {
  /** Who signs: the https origin that serves the key directory, or `{ uri, type: 'jwks_uri' | 'cimd' }`. @default none: servers must know the key */
  readonly signatureAgent?: SignatureAgent
  /** Where the keys are, in place of `signatureAgent`: the directory's well-known URL stands for its origin, any other for a JWK Set. */
  readonly directoryUrl?: string | URL
  /**
   * The form of `Signature-Agent`: `dictionary` (draft-ietf-webbotauth-httpsig-protocol and architecture 04 on) or `string`, as it was before.
   * @default 'dictionary'
   */
  readonly signatureAgentForm?: 'dictionary' | 'string'
  /**
   * What is covered beside `Signature-Agent`; `@authority` or `@target-uri` must be among it. Alone, `@authority` lets whoever sees one request send another
   * to the same server until it expires: `['@authority', '@method', '@path']` is narrower.
   * @default ['@authority']
   */
  readonly components?: readonly string[]
  /** Covered on the requests that have them, as in `['authorization']`. @default none */
  readonly componentsIfPresent?: readonly string[]
  /** How long a signature is good for, in seconds, from 1 to 86,400. @default 60 */
  readonly expiresInSeconds?: number
  /** The signature's name, and that of its `Signature-Agent` member. @default 'sig1' */
  readonly label?: string
  /** A nonce for each send. @default 64 random bytes */
  readonly nonce?: () => string
  /** The digest of the body, made and covered when set. @default false, or 'sha-256' when `components` name content-digest */
  readonly contentDigest?: DigestAlgorithm | readonly DigestAlgorithm[] | false
  /** The clock, in milliseconds since the epoch. @default Date.now */
  readonly now?: () => number
}

/** The tag of the drafts. */
export const webBotAuthTag = 'web-bot-auth'

/**
 * Signs every request to one server by Web Bot Auth, so that it can tell which bot is calling: `Signature-Agent`, `Signature-Input` and `Signature` with
 * `tag="web-bot-auth"`, the key's JWK thumbprint as `keyid`, `created`, `expires` and a nonce. Each send is signed anew.
 *
 * @throws `MCPAUTH_KEY_INVALID`, `MCPAUTH_CREDENTIAL_MISSING`, `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction.
 * @throws `MCPAUTH_SIGNATURE_INVALID` on the road, when a request does not have what is to be covered.
 * @see draft-ietf-webbotauth-httpsig-protocol, draft-meunier-web-bot-auth-architecture
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withWebBotAuth } from '@mcpauth/rfc9421-signer'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch = authFetch(withWebBotAuth(url, { key: { env: 'BOT_KEY' }, signatureAgent: 'https://bot.example' }))
 * ```
 */
export function withWebBotAuth(server: string | URL, options: WebBotAuthOptions): Interceptor {
  const { label = 'sig1', expiresInSeconds = 60, components = ['@authority'], componentsIfPresent = [], now, nonce } = options
  const { signatureAgentForm = 'dictionary' } = options
  checkOptions(options, components, signatureAgentForm)
  const member = agentMember(options)
  const signer = messageSigner({
    key: keyPair(options),
    components: member === undefined ? components : [...components, agentComponent(signatureAgentForm, label)],
    componentsIfPresent,
    label,
    expiresInSeconds,
    // The drafts before wrote it in base64, and a verifier of then may insist.
    nonce: nonce === undefined ? freshNonces(64, signatureAgentForm === 'string' ? 'base64' : 'base64url') : callersNonces(nonce),
    tag: webBotAuthTag,
    now
  })
  const agent = member === undefined || signatureAgentForm === 'string' ? member : new Map([[label, member]])
  const digests = digestsFrom(options.contentDigest, [...components, ...componentsIfPresent].includes('content-digest') ? ['sha-256'] : [])
  return signingLayer(server, { signers: [signer], digests, agent }, options)
}

/** The key id is the thumbprint, whatever `kid` a JWK has: verifiers look the key up by it. */
function keyPair({ key, algorithm, env }: WebBotAuthOptions): SigningKey {
  const pair = loadSigningKey({ key, ...(algorithm === undefined ? {} : { algorithm }), ...(env === undefined ? {} : { env }) })
  if (!pair.publicJwk)
    throw invalidOption('key', 'is a shared secret', 'Web Bot Auth takes a key pair, of which the public half is published')
  return pair
}

function agentMember({ signatureAgent, directoryUrl }: WebBotAuthOptions): string | undefined {
  if (signatureAgent !== undefined) return signatureAgentMember(signatureAgent)
  if (directoryUrl === undefined) return undefined
  const text = String(directoryUrl)
  const isWellKnown = URL.canParse(text) && new URL(text).pathname === wellKnownDirectory
  return signatureAgentMember(isWellKnown ? text : { uri: text, type: 'jwks_uri' })
}

function agentComponent(form: 'dictionary' | 'string', label: string): string {
  return form === 'string' ? 'signature-agent' : `signature-agent;key="${label}"`
}

function checkOptions(options: WebBotAuthOptions, components: unknown, form: unknown): void {
  if (form !== 'dictionary' && form !== 'string') throw invalidOption('signatureAgentForm', "is neither 'dictionary' nor 'string'")
  if ((options.expiresInSeconds as unknown) === false)
    throw invalidOption('expiresInSeconds', 'is false, and Web Bot Auth demands an expiry')
  if (options.nonce !== undefined && typeof options.nonce !== 'function') throw invalidOption('nonce', 'is not a function')
  if (options.signatureAgent !== undefined && options.directoryUrl !== undefined) {
    throw invalidOption('directoryUrl', 'says the same as signatureAgent: give one of them')
  }
  if (!Array.isArray(components) || !(components.includes('@authority') || components.includes('@target-uri'))) {
    throw invalidOption('components', 'holds neither @authority nor @target-uri, and Web Bot Auth demands one')
  }
}
