import { invalidOption } from '@mcpauth/core'
import { loadAsking } from '../load-asking.ts'
import { OAuthResponseError } from '../oauth-response-error.ts'
import { isOidcLogin, type OidcLogin } from '../oidc-login.ts'
import { checkOptionNames } from '../option-names.ts'
import { type ClientOptions, checkClient, checkHttps, clientOptionNames } from '../options.ts'
import { checkSecretSource, readSecret, type SecretSource } from '../secret-source.ts'
import type { TokenResponse } from '../token-response.ts'
import { askByExtension, type Grant, type GrantRequest } from './grant.ts'
import { jwtBearerGrant, jwtBearerType } from './jwt-bearer.ts'

const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const tokenType = 'urn:ietf:params:oauth:token-type:'
/** The type of an identity assertion authorization grant. */
const idJag = `${tokenType}id-jag`

/** Options of {@link tokenExchange}. */
export interface TokenExchangeOptions {
  /** The token that stands for whoever the new one is for. */
  subjectToken: SecretSource
  /** A URN of RFC 8693 §3, or its last word. @default 'access_token' */
  subjectTokenType?: string
  /** Who the new token is for, as the authorization server names it. */
  audience?: string
}

/**
 * Exchanges another token for one of this MCP server, at its authorization server (RFC 8693).
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function tokenExchange({ subjectToken, subjectTokenType = 'access_token', audience }: TokenExchangeOptions): Grant {
  checkSecretSource('grant.subjectToken', subjectToken)
  if (typeof subjectTokenType !== 'string' || subjectTokenType === '') throw invalidOption('grant.subjectTokenType', 'is empty')
  const grant = async (ask: GrantRequest): Promise<TokenResponse> => {
    const parameters = {
      subject_token: await readSecret('grant.subjectToken', subjectToken, ask.env),
      subject_token_type: subjectTokenType.includes(':') ? subjectTokenType : tokenType + subjectTokenType,
      requested_token_type: `${tokenType}access_token`,
      ...(audience === undefined ? {} : { audience })
    }
    return await askByExtension(ask, 'the token exchange', exchangeType, parameters)
  }
  return Object.assign(grant, { grantType: exchangeType, bringsSecret: true })
}

/** Options of {@link enterpriseAuthorization}. */
export interface EnterpriseAuthorizationOptions {
  /** The identity provider. */
  issuer: string
  /** Its token endpoint. */
  tokenUrl: string
  /** Who we are there. */
  client: ClientOptions
  /** Where the person's ID token is, read anew for each token; or a login of our own, made by `oidcLogin()`. */
  idToken: SecretSource | OidcLogin
}

/**
 * Enterprise-managed authorization (SEP-990, N37): the company's identity provider exchanges the person's ID token for an assertion (ID-JAG), and
 * the MCP server's authorization server exchanges that for tokens. The company decides; nobody is asked.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { enterpriseAuthorization, withOAuth } from '@mcpauth/oauth'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', {
 *   client: { clientId: 'agent', clientSecret: { env: 'AGENT_SECRET' } },
 *   grant: enterpriseAuthorization({
 *     issuer: 'https://idp.example.com',
 *     tokenUrl: 'https://idp.example.com/token',
 *     client: { clientId: 'agent-at-idp' },
 *     idToken: { file: '/run/user/1000/id-token' }
 *   })
 * })
 * ```
 */
export function enterpriseAuthorization({ issuer, tokenUrl, client, idToken }: EnterpriseAuthorizationOptions): Grant {
  checkHttps('grant.issuer', issuer, false)
  checkHttps('grant.tokenUrl', tokenUrl, false)
  checkClient(client, 'grant.client')
  checkOptionNames('grant.client', client, clientOptionNames)
  const oidc = isOidcLogin(idToken) ? idToken : undefined
  if (!oidc) checkSecretSource('grant.idToken', idToken)

  async function grant(ask: GrantRequest): Promise<TokenResponse> {
    const { clientAtProvider } = await loadAsking()
    const atProvider: GrantRequest = {
      ...ask,
      authorizationServer: { issuer, token_endpoint: tokenUrl },
      ...(await clientAtProvider(client, ask, 'grant.client')),
      network: ask.networkFrom(new URL(tokenUrl)).network,
      dpop: undefined
    }
    const subject = await (oidc ? oidc.idToken(ask) : readSecret('grant.idToken', idToken as SecretSource, ask.env))
    const assertion = await askByExtension(atProvider, "the identity provider's token exchange", exchangeType, {
      subject_token: subject,
      subject_token_type: `${tokenType}id_token`,
      requested_token_type: idJag,
      audience: ask.authorizationServer.issuer
    }).catch((error: unknown) => {
      if (error instanceof OAuthResponseError && error.error === 'invalid_grant') oidc?.refused(subject)
      throw error
    })
    if (assertion.issued_token_type !== undefined && assertion.issued_token_type !== idJag) {
      throw new OAuthResponseError("the identity provider's token exchange: the answer is not an ID-JAG", { status: 200 })
    }
    return await jwtBearerGrant(ask, assertion.access_token)
  }
  return Object.assign(grant, { grantType: jwtBearerType, ...(oidc ? { prepare: oidc.prepare } : {}) })
}
