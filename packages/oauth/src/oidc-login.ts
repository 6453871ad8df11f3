import { invalidOption } from '@mcpauth/core'
import type { GrantRequest } from './grants/grant.ts'
import { loadAsking } from './load-asking.ts'
import type { Login } from './login.ts'
import { checkOptionNames } from './option-names.ts'
import { type ClientOptions, checkClient, checkHttps, checkScope, clientOptionNames } from './options.ts'

/** Options of {@link oidcLogin}: the client is one that is registered at the identity provider by hand. */
export interface OidcLoginOptions extends Omit<ClientOptions, 'issuer'> {
  /** The identity provider, to the letter as its metadata writes it. */
  issuer: string
  /** How the person is asked, when there is nobody logged in. */
  login: Login
  /** Space-separated. @default 'openid', with 'offline_access' where the provider lists it */
  scope?: string
}

/** A person's login at an identity provider; made by {@link oidcLogin}. */
export interface OidcLogin {
  /**
   * Sees to it that there is an ID token: the stored one, a refreshed one, or one of a new login.
   *
   * @param asking Called before the person is asked. Absent: the person is not.
   * @throws `MCPAUTH_LOGIN_REQUIRED`, `MCPAUTH_LOGIN_FAILED`, and what discovery and the token endpoint throw
   */
  prepare(ask: GrantRequest, asking: (() => void) | undefined): Promise<void>
  /** The ID token there is. @throws `MCPAUTH_LOGIN_REQUIRED` */
  idToken(ask: GrantRequest): Promise<string>
  /** Somebody would not take it: it is not used again. */
  refused(idToken: string): void
}

/**
 * Logs a person in at the company's identity provider (OpenID Connect: authorization code, PKCE, nonce) for the ID token that
 * `enterpriseAuthorization` needs. One login serves all MCP servers: it is kept in the store and refreshed there, one refresh at a time.
 * Of the provider's tokens the ID token and the refresh token are kept; its access token is not used.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { browserLogin, enterpriseAuthorization, oidcLogin, withOAuth } from '@mcpauth/oauth'
 *
 * const issuer = 'https://idp.example.com'
 * export const layer = withOAuth('https://mcp.example.com/mcp', {
 *   client: { clientId: 'agent', clientSecret: { env: 'AGENT_SECRET' } },
 *   grant: enterpriseAuthorization({
 *     issuer,
 *     tokenUrl: 'https://idp.example.com/token',
 *     client: { clientId: 'agent-at-idp' },
 *     idToken: oidcLogin({ issuer, clientId: 'agent-at-idp', login: browserLogin() })
 *   })
 * })
 * ```
 */
export function oidcLogin(options: OidcLoginOptions): OidcLogin {
  const { issuer, login, scope } = options
  checkHttps('idToken.issuer', issuer, false)
  checkClient(options, 'idToken')
  checkOptionNames('idToken', options, { ...clientOptionNames, login: true, scope: true })
  checkScope(scope, 'idToken.scope')
  if (scope !== undefined && !scope.split(' ').includes('openid')) throw invalidOption('idToken.scope', 'does not hold openid')
  if (typeof login !== 'function') throw invalidOption('idToken.login', 'is not a Login', 'use browserLogin() or pasteLogin()')
  let session: OidcLogin | undefined

  async function begun(): Promise<OidcLogin> {
    const { oidcSession } = await loadAsking()
    session ??= oidcSession(options)
    return session
  }

  return {
    prepare: async (ask, asking) => await (await begun()).prepare(ask, asking),
    idToken: async (ask) => await (await begun()).idToken(ask),
    // What has been refused was given out before, so what hears this is there already.
    refused: (idToken) => session?.refused(idToken)
  }
}

/** Whether something is a login of {@link oidcLogin}. */
export function isOidcLogin(value: unknown): value is OidcLogin {
  return typeof value === 'object' && value !== null && typeof (value as Partial<OidcLogin>).prepare === 'function'
}
