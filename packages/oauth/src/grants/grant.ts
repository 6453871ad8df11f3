import { type Environment, McpAuthError, safeText } from '@mcpauth/core'
import type { AuthorizationServer, Client, ClientAuth, TokenEndpointRequestOptions } from 'oauth4webapi'
import type { AuthorizationServerClient, RequestLimits, RootedNetwork } from '../authorization-server-client.ts'
import { OAuthResponseError } from '../oauth-response-error.ts'
import { loadProtocol, type Protocol } from '../protocol.ts'
import type { SessionStore } from '../session-store.ts'
import { readTokenResponse, type TokenResponse } from '../token-response.ts'

/** The proofs of one DPoP key (RFC 9449), and the nonces that servers want in them. */
export interface ProofMaker {
  proof(request: { method: string; url: URL; accessToken?: string }): string
  /** Takes the nonce of an answer; true when it is a new one. */
  observe(url: URL, headers: Headers): boolean
}

/** Everything a grant needs to ask a token endpoint. */
export interface GrantRequest {
  /** The MCP server. */
  readonly server: URL
  readonly authorizationServer: AuthorizationServer
  readonly client: Client
  readonly clientAuth: ClientAuth
  readonly network: AuthorizationServerClient
  /** The network for an authorization server that the user named, which may be a private one. */
  readonly networkFrom: (root: URL) => RootedNetwork
  /** For what a grant keeps beside the tokens, such as those of an identity provider. */
  readonly store: SessionStore
  /** RFC 8707, verbatim; undefined only where the user left it out by option. */
  readonly resource: string | undefined
  /** Space-separated. */
  readonly scope: string | undefined
  readonly dpop: ProofMaker | undefined
  readonly env: Environment
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly signal?: AbortSignal | undefined
}

/**
 * One way to get tokens: a function that asks and resolves with the answer. Its properties say how it is to be treated.
 *
 * Ready-made: `clientCredentials()`, `deviceLogin()`, `refreshTokenOnly()`, `jwtBearer()`, `workloadIdentity()`, `enterpriseAuthorization()`.
 */
export type Grant = ((ask: GrantRequest) => Promise<TokenResponse>) & {
  /** `grant_type`, for a registration. */
  readonly grantType: string
  /** A person takes part: asked once across processes, and never in the background. */
  readonly interactive?: boolean
  /**
   * Gets what the grant needs and takes long, before the tokens' lock is held.
   *
   * @param asking Called before a person is asked; absent: nobody may be asked, and what needs a person is `MCPAUTH_LOGIN_REQUIRED`.
   */
  readonly prepare?: ((ask: GrantRequest, asking: (() => void) | undefined) => Promise<void>) | undefined
  /** Works without a client of its own. */
  readonly clientOptional?: boolean
  /** Sends the authorization server a secret that the user has from elsewhere: never another one than before (T2). */
  readonly bringsSecret?: boolean
  /** Names the secret that its tokens come from, without giving it away. Tokens of another one are not used. */
  readonly seed?: (env: Environment) => Promise<string>
}

/** Additional parameters of every token request: the resource (N23) and, where one is asked for, the scope. */
export function grantParameters(ask: GrantRequest, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...(ask.resource === undefined ? {} : { resource: ask.resource }),
    ...(ask.scope === undefined ? {} : { scope: ask.scope }),
    ...more
  }
}

/**
 * Sends one token request and reads its answer. A `use_dpop_nonce` is answered once with the nonce (RFC 9449 §8).
 *
 * @param send What to send, built by oauth4webapi.
 * @throws `MCPAUTH_OAUTH_RESPONSE`, `MCPAUTH_NETWORK`, `MCPAUTH_TIMEOUT`, `MCPAUTH_ADDRESS_REFUSED`
 */
export async function askForToken(
  ask: GrantRequest,
  what: string,
  send: (protocol: Protocol, options: TokenEndpointRequestOptions) => Promise<Response>,
  limits: RequestLimits = {}
): Promise<TokenResponse> {
  const endpoint = tokenEndpoint(ask)
  const protocol = await loadProtocol()
  for (let attempt = 1; ; attempt += 1) {
    const headers: Record<string, string> = ask.dpop ? { dpop: ask.dpop.proof({ method: 'POST', url: endpoint }) } : {}
    const response = await built(() => send(protocol, { ...requestOptions(protocol, ask, what, limits), headers }))
    const fresh = ask.dpop?.observe(endpoint, response.headers) ?? false
    try {
      return await checked(protocol, ask, await readTokenResponse(response, what, ask.server.href), what)
    } catch (error) {
      if (!(fresh && attempt === 1 && error instanceof OAuthResponseError && error.error === 'use_dpop_nonce')) throw error
    }
  }
}

/** Sends the token request of an extension grant (RFC 6749 §4.5), with resource and scope beside its own parameters. */
export function askByExtension(
  ask: GrantRequest,
  what: string,
  grantType: string,
  parameters: Record<string, string>
): Promise<TokenResponse> {
  const { authorizationServer, client, clientAuth } = ask
  return askForToken(ask, what, (protocol, options) =>
    protocol.genericTokenEndpointRequest(
      authorizationServer,
      client,
      clientAuth,
      grantType,
      grantParameters(ask, parameters),
      options as never
    )
  )
}

/** The options that make oauth4webapi send through our client. It sees https everywhere, except where our own guard lets a loopback server pass. */
export function requestOptions(
  { customFetch, allowInsecureRequests }: Protocol,
  ask: GrantRequest,
  what: string,
  limits: RequestLimits
): TokenEndpointRequestOptions {
  return {
    [customFetch]: (url: string, { headers, body }: { headers: Record<string, string>; body: URLSearchParams }) =>
      ask.network.send(new URL(url), what, { method: 'POST', headers, body: String(body) }, { signal: ask.signal, ...limits }),
    // Which http is let through is the address guard's to say: it knows which loopback belongs to whom.
    [allowInsecureRequests]: true
  }
}

/** The URL that token requests go to; that for certificates where the client uses one (RFC 8705 §5). */
export function tokenEndpoint({ authorizationServer, client }: GrantRequest): URL {
  const alias = client.use_mtls_endpoint_aliases ? authorizationServer.mtls_endpoint_aliases?.token_endpoint : undefined
  const endpoint = alias ?? authorizationServer.token_endpoint
  if (endpoint === undefined || !URL.canParse(endpoint)) {
    throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${safeText(authorizationServer.issuer)} has no token endpoint`, {
      hint: 'give tokenUrl if you know it'
    })
  }
  return new URL(endpoint)
}

/** Runs something of oauth4webapi; its errors may carry codes and tokens in their causes, so only the text of its own checks is kept. */
export async function built<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (McpAuthError.is(error)) throw error
    throw new McpAuthError('MCPAUTH_OAUTH_RESPONSE', `the request cannot be made: ${safeText((error as Error).message)}`)
  }
}

/** Only what oauth4webapi takes for a conforming answer is used. */
async function checked(protocol: Protocol, ask: GrantRequest, body: TokenResponse, what: string): Promise<TokenResponse> {
  // An ID token is for the one who asked for it to verify; oauth4webapi would throw for one that is not meant for it.
  const response = Response.json({ ...body, id_token: undefined })
  const recognizedTokenTypes = { n_a: () => undefined }
  try {
    await protocol.processGenericTokenEndpointResponse(ask.authorizationServer, ask.client, response, { recognizedTokenTypes })
  } catch (error) {
    throw new OAuthResponseError(`${what}: ${safeText((error as Error).message)}`, { status: 200 })
  }
  return body
}
