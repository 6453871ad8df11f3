import {
  canonicalServerUrl,
  type DispatcherLike,
  type Environment,
  invalidOption,
  isLoopbackHost,
  parseServerUrl,
  type StoreKey,
  type TokenStore
} from '@mcpauth/core'
import { type FileStore, fileStore } from '@mcpauth/token-store'
import type { Grant } from './grants/grant.ts'
import type { Login } from './login.ts'
import { checkOptionNames } from './option-names.ts'
import { checkRegisteredUris } from './registered-redirect.ts'
import { checkSecretSource, type SecretSource } from './secret-source.ts'
import { type SessionStore, sessionStore } from './session-store.ts'
import { authMethods, type TokenEndpointAuthMethod } from './token-endpoint-auth-method.ts'

/** A client that was registered by hand at the authorization server. */
export interface ClientOptions {
  clientId: string
  clientSecret?: SecretSource
  /** Where it is registered, to the letter as the server's metadata writes it. Its credentials are never sent to another issuer (N15). */
  issuer?: string
  /** @default `private_key_jwt` with a key; with a secret, what the server lists; else `none` */
  tokenEndpointAuthMethod?: TokenEndpointAuthMethod
  /** PEM or JWK, for `private_key_jwt`. */
  privateKey?: SecretSource
  /** JWS algorithm. @default the key type's usual one */
  signingAlgorithm?: string
  /** `kid` of the assertion's header. */
  keyId?: string
  /** What it is registered with: a login that comes back elsewhere fails at once. A loopback address matches at any port (RFC 8252 §7.3). */
  redirectUris?: readonly string[]
}

/** Every name of {@link ClientOptions}. */
export const clientOptionNames: Readonly<Record<keyof ClientOptions, true>> = {
  clientId: true,
  clientSecret: true,
  issuer: true,
  tokenEndpointAuthMethod: true,
  privateKey: true,
  signingAlgorithm: true,
  keyId: true,
  redirectUris: true
}

/** Options of {@link withOAuth} and {@link oauthTokens}. All are optional. */
export interface OAuthOptions {
  /** How a person logs in. Without it and without `grant`, a needed login is `MCPAUTH_LOGIN_REQUIRED` at once: a library never opens a browser unasked. */
  login?: Login
  /** How tokens are got without the authorization code flow; see {@link Grant}. */
  grant?: Grant
  /** A client registered by hand. @default registered dynamically */
  client?: ClientOptions
  /** Where this client's metadata document is hosted (N10); used where the server supports it. */
  clientMetadataUrl?: string
  /** What a person reads on the consent page. @default 'mcpauth' */
  clientName?: string
  /** Space-separated. @default what the server's challenge or metadata says (N17) */
  scope?: string
  /** Where tokens are kept. @default `fileStore()`: ~/.mcpauth/auth */
  store?: TokenStore
  /** Separates identities at one server. */
  profile?: string
  /** How long before its end a token is renewed in the background, in seconds; at most a fifth of its lifetime. @default 60 */
  refreshAheadSeconds?: number
  /** How long a request waits for a person, in milliseconds; then `MCPAUTH_LOGIN_PENDING`. @default 45_000 */
  loginWaitMs?: number
  /** How long a person has, in milliseconds. @default 300_000 */
  loginTimeoutMs?: number
  /**
   * How long a refresh or a logout waits while another process holds the token, in milliseconds; then `MCPAUTH_LOCK_TIMEOUT`, which names the
   * holder. Shorter than a refresh may take (60 s), it gives up on servers that are only slow. @default 180_000
   */
  lockWaitMs?: number
  /** Binds tokens to a key (RFC 9449). @default false */
  dpop?: boolean
  /** `resource` of every request (RFC 8707). @default what the server's metadata says, else its URL */
  resource?: string
  /** For servers that refuse the `resource` parameter: their tokens are then good elsewhere too. @default false */
  dangerouslyOmitResource?: boolean
  /** For servers that support PKCE and do not say so. @default false */
  dangerouslyAllowMissingPkceMetadata?: boolean
  /** Allows http to hosts that are not loopback. @default false */
  dangerouslyAllowHttp?: boolean
  /** Overrides the authorization endpoint; the other endpoints are discovered. */
  authorizationUrl?: string
  tokenUrl?: string
  registrationUrl?: string
  revocationUrl?: string
  deviceAuthorizationUrl?: string
  /** Which of several authorization servers to use. @default the one in use, else the first */
  chooseAuthorizationServer?: (issuers: readonly string[]) => string | Promise<string>
  /** Whether a refresh says its scope: `requested` is for servers that want it. @default 'omit' */
  scopeOnRefresh?: 'omit' | 'requested'
  /** Uses the token endpoint for client certificates, where the server names one (RFC 8705 §5). @default only with a `tls_client_auth` method */
  useMtlsEndpoints?: boolean
  /**
   * `process`: a detached helper process asks for the refresh and writes it, so that not even a SIGKILL between the server's commit and the write
   * loses the login. Needs `fileStore()`; costs the start of a process per refresh. The helper honours HTTP_PROXY and HTTPS_PROXY, and not this
   * process's dispatchers. @default 'none'
   */
  refreshIsolation?: 'none' | 'process'
  /** Sends requests to authorization servers in place of our own guarded agent; then only literal addresses are checked. */
  dispatcher?: DispatcherLike
  /** Milliseconds since the epoch. @default Date.now */
  now?: () => number
  /** @default process.env */
  env?: Environment
}

const optionNames: Readonly<Record<keyof OAuthOptions, true>> = {
  login: true,
  grant: true,
  client: true,
  clientMetadataUrl: true,
  clientName: true,
  scope: true,
  store: true,
  profile: true,
  refreshAheadSeconds: true,
  loginWaitMs: true,
  loginTimeoutMs: true,
  lockWaitMs: true,
  dpop: true,
  resource: true,
  dangerouslyOmitResource: true,
  dangerouslyAllowMissingPkceMetadata: true,
  dangerouslyAllowHttp: true,
  authorizationUrl: true,
  tokenUrl: true,
  registrationUrl: true,
  revocationUrl: true,
  deviceAuthorizationUrl: true,
  chooseAuthorizationServer: true,
  scopeOnRefresh: true,
  useMtlsEndpoints: true,
  refreshIsolation: true,
  dispatcher: true,
  now: true,
  env: true
}

/** The options, checked, with defaults. */
export interface Settings extends OAuthOptions {
  server: URL
  key: StoreKey & { kind: 'server' }
  store: SessionStore
  clientName: string
  refreshAheadMs: number
  loginWaitMs: number
  loginTimeoutMs: number
  lockWaitMs: number
  now: () => number
  env: Environment
}

/**
 * Checks every option, at construction.
 *
 * @throws `MCPAUTH_INVALID_OPTION` with the option's name; `MCPAUTH_INSECURE_URL`
 */
// biome-ignore lint/style/noProcessEnv: the one place of this package that takes the environment, as a default
export function checkOptions(server: string | URL, options: OAuthOptions, environment: Environment = process.env): Settings {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'is not an object')
  checkOptionNames('', options, optionNames)
  const url = parseServerUrl(server, options)
  checkWays(options)
  checkScope(options.scope)
  checkResource(options)
  checkEndpointUrls(options)
  if (options.client !== undefined) {
    checkClient(options.client)
    checkOptionNames('client', options.client, clientOptionNames)
  }
  if (options.clientMetadataUrl !== undefined) checkClientMetadataUrl(options.clientMetadataUrl)
  const { refreshAheadSeconds = 60, loginWaitMs = 45_000, loginTimeoutMs = 300_000, lockWaitMs = 180_000 } = options
  const { profile, clientName = 'mcpauth' } = options
  checkNumber('refreshAheadSeconds', refreshAheadSeconds, 0, 86_400)
  checkNumber('loginWaitMs', loginWaitMs, 0, 3_600_000)
  checkNumber('loginTimeoutMs', loginTimeoutMs, 1_000, 3_600_000)
  checkNumber('lockWaitMs', lockWaitMs, 100, 3_600_000)
  if (profile !== undefined && (typeof profile !== 'string' || !/^[\w.@+-]{1,64}$/.test(profile))) {
    throw invalidOption('profile', 'is not 1 to 64 letters, digits or . _ @ + -')
  }
  if (typeof clientName !== 'string' || clientName === '') throw invalidOption('clientName', 'is empty')
  const store = options.store ?? fileStore()
  checkIsolation(options, store)
  return {
    ...options,
    server: url,
    key: { kind: 'server', url: canonicalServerUrl(url), ...(profile === undefined ? {} : { profile }) },
    store: sessionStore(store),
    clientName,
    refreshAheadMs: refreshAheadSeconds * 1000,
    loginWaitMs,
    loginTimeoutMs,
    lockWaitMs,
    now: options.now ?? Date.now,
    env: options.env ?? environment
  }
}

function checkWays({ login, grant, scopeOnRefresh, chooseAuthorizationServer }: OAuthOptions): void {
  if (login !== undefined && typeof login !== 'function')
    throw invalidOption('login', 'is not a Login', 'use browserLogin() or pasteLogin()')
  if (grant !== undefined && (typeof grant !== 'function' || typeof grant.grantType !== 'string')) {
    throw invalidOption('grant', 'is not a Grant', 'use clientCredentials(), deviceLogin(), jwtBearer() or another one of this package')
  }
  if (login && grant) throw invalidOption('grant', 'contradicts login: a token comes from one of them')
  if (scopeOnRefresh !== undefined && scopeOnRefresh !== 'omit' && scopeOnRefresh !== 'requested') {
    throw invalidOption('scopeOnRefresh', "is neither 'omit' nor 'requested'")
  }
  if (chooseAuthorizationServer !== undefined && typeof chooseAuthorizationServer !== 'function') {
    throw invalidOption('chooseAuthorizationServer', 'is not a function')
  }
}

/** RFC 6749 §3.3. */
export function checkScope(scope: unknown, name = 'scope'): void {
  if (scope === undefined) return
  if (typeof scope !== 'string' || !/^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(scope)) {
    throw invalidOption(name, 'is not a list of scopes separated by single spaces')
  }
}

function checkResource({ resource, dangerouslyOmitResource }: OAuthOptions): void {
  if (resource === undefined) return
  if (dangerouslyOmitResource) throw invalidOption('dangerouslyOmitResource', 'contradicts resource')
  if (typeof resource !== 'string' || !URL.canParse(resource) || resource.includes('#')) {
    throw invalidOption('resource', 'is not an absolute URI without fragment')
  }
}

function checkEndpointUrls(options: OAuthOptions): void {
  for (const name of ['authorizationUrl', 'tokenUrl', 'registrationUrl', 'revocationUrl', 'deviceAuthorizationUrl'] as const) {
    const value = options[name]
    if (value !== undefined) checkHttps(name, value, options.dangerouslyAllowHttp === true)
  }
}

/** An https URL, or http to this machine; without what could carry a secret or be cut off. */
export function checkHttps(name: string, value: unknown, allowHttp: boolean): void {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (!url) throw invalidOption(name, 'is not an absolute URL')
  if (url.username || url.password) throw invalidOption(name, 'holds a user name or password')
  if (url.hash) throw invalidOption(name, 'holds a fragment')
  const local = url.protocol === 'http:' && (isLoopbackHost(url.hostname) || allowHttp)
  if (url.protocol !== 'https:' && !local) throw invalidOption(name, 'is not https')
}

/** Checks a client that was registered by hand. */
export function checkClient(client: ClientOptions, name = 'client'): void {
  const { clientId, clientSecret, issuer, tokenEndpointAuthMethod, privateKey, redirectUris } = client
  if (redirectUris !== undefined) checkRegisteredUris(`${name}.redirectUris`, redirectUris)
  if (typeof clientId !== 'string' || !/^[\x20-\x7e]+$/.test(clientId))
    throw invalidOption(`${name}.clientId`, 'is empty or holds illegal characters')
  if (clientSecret !== undefined) checkSecretSource(`${name}.clientSecret`, clientSecret)
  if (privateKey !== undefined) checkSecretSource(`${name}.privateKey`, privateKey)
  if (issuer !== undefined && (typeof issuer !== 'string' || !URL.canParse(issuer))) throw invalidOption(`${name}.issuer`, 'is not a URL')
  if (tokenEndpointAuthMethod === undefined) return
  if (!authMethods.includes(tokenEndpointAuthMethod)) {
    throw invalidOption(`${name}.tokenEndpointAuthMethod`, `is none of ${authMethods.join(', ')}`)
  }
  if (tokenEndpointAuthMethod.startsWith('client_secret') && clientSecret === undefined) {
    throw invalidOption(`${name}.tokenEndpointAuthMethod`, `${tokenEndpointAuthMethod} needs client.clientSecret`)
  }
  if (tokenEndpointAuthMethod === 'private_key_jwt' && privateKey === undefined) {
    throw invalidOption(`${name}.tokenEndpointAuthMethod`, 'private_key_jwt needs client.privateKey')
  }
}

/** N10: https, with a path; a fragment or dot segments would make two names of one document. */
export function checkClientMetadataUrl(value: unknown): void {
  checkHttps('clientMetadataUrl', value, false)
  const url = new URL(value as string)
  if (url.protocol !== 'https:' || url.pathname === '/') throw invalidOption('clientMetadataUrl', 'is not an https URL with a path')
  if (url.href !== value) throw invalidOption('clientMetadataUrl', `is not in its normal form, which is ${url.href}`)
}

/** Checks that a helper process could refresh as this process would. */
function checkIsolation({ refreshIsolation, dispatcher }: OAuthOptions, store: unknown): void {
  if (refreshIsolation === undefined || refreshIsolation === 'none') return
  if (refreshIsolation !== 'process') throw invalidOption('refreshIsolation', "is neither 'none' nor 'process'")
  if (dispatcher) throw invalidOption('refreshIsolation', 'contradicts dispatcher: a dispatcher cannot be handed to another process')
  const { root, lockRoot } = store as Partial<FileStore>
  if (typeof root !== 'string') throw invalidOption('refreshIsolation', 'needs fileStore(): the helper opens it too')
  if (lockRoot !== undefined && lockRoot !== root)
    throw invalidOption('refreshIsolation', 'needs the lock beside the files of fileStore(): the helper takes that one')
}

function checkNumber(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw invalidOption(name, `is not a number from ${least} to ${most}`)
}
