import { randomBytes } from 'node:crypto'
import { McpAuthError, type StoreKey, safeText, secrets, type TokenRecord } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import { grantedRecord } from './access-token.ts'
import { authorizationCode } from './authorization-code.ts'
import { parseJson } from './authorization-server-client.ts'
import { discoverAuthorizationServer } from './discovery.ts'
import { createFlights } from './flights.ts'
import { type GrantRequest, tokenEndpoint } from './grants/grant.ts'
import { refreshTokenGrant } from './grants/refresh-token.ts'
import { type ExpectedIdToken, type IdTokenClaims, verifyIdToken } from './id-token.ts'
import { duringLogin } from './login.ts'
import type { OidcLogin, OidcLoginOptions } from './oidc-login.ts'
import { clientAtProvider } from './provider-client.ts'
import { newer, type RefreshOutcome, refreshOnce, saveLater } from './refresh.ts'
import { refusalLimit } from './refusal-limit.ts'
import { isObject, type TokenResponse } from './token-response.ts'

/** An ID token that ends while it is on its way is of no use, in milliseconds. */
const leastLifeMs = 30_000
/** A person takes minutes. */
const loginDeadlineMs = 480_000
const recordDeadlineMs = 30_000

/** What {@link oidcLogin} does, for checked options. */
export function oidcSession(options: OidcLoginOptions): OidcLogin {
  const { issuer, clientId, login, scope } = options
  const key: StoreKey = { kind: 'identity', issuer, clientId }
  let unsaved: TokenRecord | undefined
  const flights = createFlights<RefreshOutcome>()
  const refusals = refusalLimit()
  let useless: string | undefined

  async function newest({ store }: GrantRequest): Promise<TokenRecord | undefined> {
    return newer(await store.read(key), unsaved)
  }

  function isFresh(record: TokenRecord | undefined, nowMs: number): boolean {
    if (!record?.access_token || record.access_token === useless) return false
    // Without an end it is what a refresh that brought no ID token has left.
    return record.expires_at_unix !== undefined && record.expires_at_unix * 1000 - leastLifeMs > nowMs
  }

  async function prepare(ask: GrantRequest, asking: (() => void) | undefined): Promise<void> {
    const record = await newest(ask)
    if (isFresh(record, ask.now())) return
    const provider = await atProvider(ask)
    if (isRefreshable(record) && isFresh(await refreshed(provider, record), ask.now())) return
    if (!asking) throw required(issuer)
    asking()
    await byPerson(provider)
  }

  function isRefreshable(record: TokenRecord | undefined): record is TokenRecord {
    return record?.refresh_token !== undefined && !refusals.isWornOut(record.refresh_token)
  }

  /** The same request, to the identity provider. */
  async function atProvider(ask: GrantRequest): Promise<GrantRequest> {
    const { guard, network } = ask.networkFrom(new URL(issuer))
    const provider = await discoverAuthorizationServer({ server: new URL(issuer), network, guard, signal: ask.signal }, issuer)
    if (!provider) {
      throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${issuer} publishes no metadata`, {
        hint: "check the identity provider's issuer"
      })
    }
    const who = await clientAtProvider({ ...options, issuer }, ask, 'idToken', provider.token_endpoint_auth_methods_supported)
    return { ...ask, ...who, network, authorizationServer: provider, resource: undefined, scope: scopeAt(provider), dpop: undefined }
  }

  function scopeAt({ scopes_supported }: AuthorizationServer): string {
    return scope ?? (scopes_supported?.includes('offline_access') ? 'openid offline_access' : 'openid')
  }

  /** Several requests that find the ID token over at once share one. */
  async function refreshed(ask: GrantRequest, stale: TokenRecord): Promise<TokenRecord | undefined> {
    return (await flights.join(`${stale.generation}`, () => refresh(ask, stale)).promise).record
  }

  async function refresh(ask: GrantRequest, stale: TokenRecord): Promise<RefreshOutcome> {
    const outcome = await refreshOnce({
      store: ask.store,
      key,
      stale: { value: stale.access_token ?? '' },
      now: ask.now,
      unsaved: () => unsaved,
      mayRefresh: async (record) => record.token_endpoint === tokenEndpoint(ask).href,
      send: async (record, refreshToken, beforeSend) => {
        const answer = await refreshTokenGrant({ ...ask, scope: undefined }, refreshToken, beforeSend)
        // Nothing may throw here: the refresh token in the answer is the only one that still counts.
        const verified = await verify(ask, answer, { subject: subjectOf(record) }).catch(() => undefined)
        return verified ?? withoutIdToken(answer, record)
      }
    })
    refusals.note(outcome)
    if (outcome.kind === 'refreshed' && !outcome.saved) keepTrying(ask, outcome.record)
    return outcome
  }

  function keepTrying({ store }: GrantRequest, record: TokenRecord): void {
    unsaved = record
    saveLater(
      store,
      key,
      () => unsaved,
      (saved) => {
        if (unsaved === saved) unsaved = undefined
      }
    )
  }

  /** Under a lock of its own, so that of several processes one asks. */
  async function byPerson(ask: GrantRequest): Promise<void> {
    await ask.store.transact(
      { kind: 'login', url: issuer },
      async () => {
        if (isFresh(await newest(ask), ask.now())) return
        const answer = await oneLogin(ask)
        const facts = {
          issuer,
          tokenEndpoint: tokenEndpoint(ask).href,
          resource: undefined,
          requestedScope: ask.scope,
          client: { client_id: clientId }
        }
        await ask.store.transact(key, async (held) => held.keep(grantedRecord(await held.read(), answer, facts, ask.now())), {
          deadlineMs: recordDeadlineMs
        })
        unsaved = undefined
      },
      { deadlineMs: loginDeadlineMs, ...(ask.signal ? { waiter: ask.signal } : {}) }
    )
  }

  async function oneLogin(ask: GrantRequest): Promise<TokenResponse> {
    return await duringLogin(login, options.redirectUris, async (open) => {
      const nonce = randomBytes(32).toString('base64url')
      // PKCE is sent and not demanded of the metadata: the nonce already ties the ID token to this login.
      const answer = await verify(ask, await authorizationCode(ask, open, { nonce }), { nonce })
      open.finish?.()
      return answer
    })
  }

  /** The answer with the verified ID token in the place of the access token. */
  async function verify(
    { authorizationServer: provider, network, now, signal }: GrantRequest,
    answer: TokenResponse,
    expected: Pick<ExpectedIdToken, 'nonce' | 'subject'>
  ): Promise<TokenResponse> {
    if (answer.id_token === undefined) {
      throw new McpAuthError('MCPAUTH_LOGIN_FAILED', `${safeText(provider.issuer)} sent no ID token`, {
        hint: 'is the client registered for OpenID Connect there, with the scope openid?'
      })
    }
    const claims: IdTokenClaims = await verifyIdToken(answer.id_token, { provider, network, clientId, now, signal, ...expected })
    return { ...answer, access_token: answer.id_token, expires_in: claims.expiresAtSeconds - now() / 1000 }
  }

  return {
    prepare,
    idToken: async (ask) => {
      const record = await newest(ask)
      if (!record?.access_token || record.expires_at_unix === undefined) throw required(issuer)
      secrets.add(record.access_token, 'id_token', issuer)
      return record.access_token
    },
    refused: (idToken) => {
      useless = idToken
    }
  }
}

function withoutIdToken({ expires_in: _end, ...answer }: TokenResponse, { access_token }: TokenRecord): TokenResponse {
  return { ...answer, access_token: access_token ?? answer.access_token }
}

/** Of a token that was verified before it was stored; a cache that was written elsewhere may hold what is none. */
function subjectOf({ access_token }: TokenRecord): unknown {
  const claims = parseJson(Buffer.from(access_token?.split('.')[1] ?? '', 'base64url').toString())
  return isObject(claims) ? claims.sub : undefined
}

function required(issuer: string): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `nobody is logged in at the identity provider ${issuer}`, {
    hint: 'call login(), or send a request: what happens in the background asks nobody'
  })
}
