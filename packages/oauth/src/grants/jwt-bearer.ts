import { OAuthResponseError } from '../oauth-response-error.ts'
import { checkSecretSource, readSecret, type SecretSource } from '../secret-source.ts'
import type { TokenResponse } from '../token-response.ts'
import { askByExtension, type Grant, type GrantRequest } from './grant.ts'

/** `grant_type` of RFC 7523 §2.1. */
export const jwtBearerType: string = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** Exchanges an assertion for tokens (RFC 7523 §2.1). */
export function jwtBearerGrant(ask: GrantRequest, assertion: string): Promise<TokenResponse> {
  return askByExtension(ask, 'the JWT bearer grant', jwtBearerType, { assertion })
}

/**
 * Tokens for a JWT that somebody else has signed (RFC 7523 §2.1). It is read anew for each token.
 *
 * @param options `assertion`: where the JWT is.
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function jwtBearer({ assertion }: { assertion: SecretSource }): Grant {
  checkSecretSource('grant.assertion', assertion)
  return Object.assign(async (ask: GrantRequest) => jwtBearerGrant(ask, await readSecret('grant.assertion', assertion, ask.env)), {
    grantType: jwtBearerType,
    bringsSecret: true
  })
}

/**
 * Workload identity (SEP-1933, N39): the platform's own JWT, as a Kubernetes service account has it, is exchanged for tokens. A rejected one is
 * never sent again, and no other grant is tried in its place: the next request gets the same error, until the platform has put another JWT there.
 *
 * @param options `token`: where the platform keeps the JWT; it is read anew each time, because platforms rotate it.
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { withOAuth, workloadIdentity } from '@mcpauth/oauth'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', {
 *   client: { clientId: 'batch-job' },
 *   grant: workloadIdentity({ token: { file: '/var/run/secrets/tokens/mcp' } })
 * })
 * ```
 */
export function workloadIdentity({ token }: { token: SecretSource }): Grant {
  checkSecretSource('grant.token', token)
  let rejected: { jwt: string; error: OAuthResponseError } | undefined

  async function exchange(ask: GrantRequest): Promise<TokenResponse> {
    const jwt = await readSecret('grant.token', token, ask.env)
    if (jwt === rejected?.jwt) throw rejected.error
    try {
      return await jwtBearerGrant(ask, jwt)
    } catch (error) {
      if (isRejection(error)) rejected = { jwt, error }
      throw error
    }
  }
  return Object.assign(exchange, { grantType: jwtBearerType, clientOptional: true, bringsSecret: true })
}

/** A no, as against a server that cannot answer now. */
function isRejection(error: unknown): error is OAuthResponseError {
  return error instanceof OAuthResponseError && error.status >= 400 && error.status < 500 && error.status !== 429
}
