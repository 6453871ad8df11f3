import { timingSafeEqual } from 'node:crypto'
import { McpAuthError, safeText, secrets } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import { parseJson, retryAfterMs } from './authorization-server-client.ts'
import { askForToken, built, type GrantRequest, requestOptions } from './grants/grant.ts'
import type { OpenLogin } from './login.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import { loadProtocol, type Protocol } from './protocol.ts'
import { isObject, type TokenResponse } from './token-response.ts'

/** What belongs to one login and to no other; kept until its answer has been verified (N19). */
interface PendingAuthorization {
  state: string
  verifier: string
  /** Validated by discovery. */
  issuer: string
  redirectUri: string
}

/**
 * Refuses an authorization server that does not say that it verifies PKCE: a stolen code would be enough (N30).
 *
 * @throws `MCPAUTH_PKCE_UNSUPPORTED`
 */
export function checkPkce(server: AuthorizationServer, dangerouslyAllowMissing: boolean): void {
  const methods = server.code_challenge_methods_supported
  if (methods === undefined && dangerouslyAllowMissing) return
  if (Array.isArray(methods) && methods.includes('S256')) return
  throw new McpAuthError('MCPAUTH_PKCE_UNSUPPORTED', `${safeText(server.issuer)} does not say that it supports PKCE with S256`, {
    hint: 'if its documentation says that it does, pass dangerouslyAllowMissingPkceMetadata: true (in code only)'
  })
}

/**
 * The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636): sends a person to the authorization server and exchanges what comes back.
 *
 * @param more Parameters of the authorization request beside these, such as a nonce.
 * @throws `MCPAUTH_LOGIN_FAILED` refused by the server or the person, or an answer that is not the server's (N20–N22, N32).
 */
export async function authorizationCode(
  ask: GrantRequest,
  login: OpenLogin,
  more: Readonly<Record<string, string>> = {}
): Promise<TokenResponse> {
  const protocol = await loadProtocol()
  const pending: PendingAuthorization = {
    state: protocol.generateRandomState(),
    verifier: protocol.generateRandomCodeVerifier(),
    issuer: ask.authorizationServer.issuer,
    redirectUri: login.redirectUri
  }
  secrets.add(pending.verifier, 'code_verifier')
  const url = await authorizationUrl(protocol, ask, pending, more)
  const answer = await untilAborted(login.ask(url, pending.state, ask.signal), ask.signal)
  return await redeem(ask, pending, verifiedAnswer(protocol, ask, pending, answer))
}

/** A login that does not heed its signal must not hold the lock for ever. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function authorizationUrl(
  protocol: Protocol,
  ask: GrantRequest,
  pending: PendingAuthorization,
  more: Readonly<Record<string, string>>
): Promise<URL> {
  const { authorizationServer, client } = ask
  const endpoint = authorizationServer.authorization_endpoint
  if (endpoint === undefined || !URL.canParse(endpoint)) {
    throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${safeText(authorizationServer.issuer)} has no authorization endpoint`, {
      hint: 'give authorizationUrl if you know it, or use another grant'
    })
  }
  const parameters: Record<string, string> = {
    ...more,
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: pending.redirectUri,
    state: pending.state,
    code_challenge: await protocol.calculatePKCECodeChallenge(pending.verifier),
    code_challenge_method: 'S256',
    ...(ask.scope === undefined ? {} : { scope: ask.scope }),
    ...(ask.resource === undefined ? {} : { resource: ask.resource }),
    // OpenID Connect Core §11: without consent, offline_access is ignored.
    ...(ask.scope?.split(' ').includes('offline_access') ? { prompt: 'consent' } : {})
  }
  const url = new URL(endpoint)
  const query = authorizationServer.require_pushed_authorization_requests === true ? await pushed(protocol, ask, parameters) : parameters
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url
}

/** RFC 9126, where the server insists on it: the parameters go ahead, and the browser carries only a reference. */
async function pushed(protocol: Protocol, ask: GrantRequest, parameters: Record<string, string>): Promise<Record<string, string>> {
  const what = 'the pushed authorization request'
  const options = requestOptions(protocol, ask, what, { deadlineMs: 30_000 })
  const response = await built(() =>
    protocol.pushedAuthorizationRequest(ask.authorizationServer, ask.client, ask.clientAuth, parameters, {
      ...options,
      [protocol.customFetch]: options[protocol.customFetch] as never
    })
  )
  const body = parseJson(await response.text())
  if (!response.ok || !isObject(body) || typeof body.request_uri !== 'string') {
    const { error, error_description } = isObject(body) ? body : {}
    throw new OAuthResponseError(what, { status: response.status, error, error_description, retryAfterMs: retryAfterMs(response) })
  }
  return { client_id: ask.client.client_id, request_uri: body.request_uri }
}

/** Everything about the answer that says whose it is, before anything in it is believed, shown or sent on. */
function verifiedAnswer(protocol: Protocol, ask: GrantRequest, pending: PendingAuthorization, answer: URLSearchParams): URLSearchParams {
  if (!sameText(answer.get('state') ?? '', pending.state)) throw notOurs('its state is not the one that was sent')
  if (answer.getAll('iss').length > 1 || (answer.has('iss') && answer.get('iss') !== pending.issuer)) {
    // Neither the error nor its description may be shown: they are someone else's words (N22).
    throw notOurs('it comes from another issuer')
  }
  if (!answer.has('iss') && ask.authorizationServer.authorization_response_iss_parameter_supported === true) {
    throw notOurs('it does not say its issuer, as the server announced')
  }
  if (answer.has('error')) {
    const words = [answer.get('error'), answer.get('error_description')].map((word) => safeText(word)).filter(Boolean)
    throw new McpAuthError('MCPAUTH_LOGIN_FAILED', `the authorization server refused: ${words.join(', ')}`, {
      hint: 'log in again, and allow access'
    })
  }
  try {
    return protocol.validateAuthResponse(ask.authorizationServer, ask.client, answer, pending.state)
  } catch (error) {
    // Its cause holds the code.
    throw notOurs(safeText((error as Error).message))
  }
}

function notOurs(fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_FAILED', `the answer of the authorization server was refused: ${fact}`, {
    hint: 'log in again; if it happens again, tell the operator of the authorization server'
  })
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

async function redeem(ask: GrantRequest, pending: PendingAuthorization, answer: URLSearchParams): Promise<TokenResponse> {
  const code = answer.get('code')
  if (!code) throw notOurs('it holds no code')
  secrets.add(code, 'code')
  return await askForToken(ask, 'the code exchange', (protocol, options) =>
    protocol.authorizationCodeGrantRequest(
      ask.authorizationServer,
      ask.client,
      ask.clientAuth,
      answer,
      pending.redirectUri,
      pending.verifier,
      {
        ...options,
        additionalParameters: ask.resource === undefined ? {} : { resource: ask.resource }
      }
    )
  )
}
