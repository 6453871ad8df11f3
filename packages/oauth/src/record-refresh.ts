import type { AuthChallenge, TokenRecord } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import { type AuthorizationContext, grantRequest } from './authorization-context.ts'
import { findTarget } from './authorization-target.ts'
import { identityOfRecord } from './client-identity.ts'
import { discoverResource } from './discovery.ts'
import { dpopJwkOf } from './dpop-proofs.ts'
import { refreshTokenGrant } from './grants/refresh-token.ts'
import { belongsToIssuer, isAskedFor } from './issuer-binding.ts'
import type { LoginErrors } from './login-errors.ts'
import type { TokenResponse } from './token-response.ts'

/** What a record's refresh token is sent with, and whether it may be sent at all. */
export interface RecordRefresh {
  /** Whether the user's options still mean the client and endpoint that the tokens came from. */
  isOurs(record: TokenRecord): Promise<boolean>
  /** The same, after the server has said again whose resource it is (rule: nothing goes to a server that is no longer the resource's). */
  isStillOurs(record: TokenRecord, challenges: readonly AuthChallenge[]): Promise<boolean>
  /** @param beforeSend Throws where it must not be written any more. */
  send(record: TokenRecord, refreshToken: string, beforeSend?: () => void): Promise<TokenResponse>
}

/** Makes it for one server. */
export function recordRefresh(context: AuthorizationContext, errors: LoginErrors): RecordRefresh {
  const { settings, discovery, proofs } = context
  const { client, tokenUrl, grant, server } = settings

  async function isOurs(record: TokenRecord): Promise<boolean> {
    if (tokenUrl !== undefined && record.token_endpoint !== undefined && record.token_endpoint !== tokenUrl) return false
    // Where a metadata document was not supported, the client registered, and that is no mistake.
    const chosen = client?.clientId === settings.clientMetadataUrl ? undefined : client?.clientId
    if (chosen !== undefined && record.client && record.client.client_id !== chosen) return false
    if (!isAskedFor(record, settings)) return false
    return grant?.seed === undefined || record.seed === (await grant.seed(settings.env))
  }

  async function isStillOurs(record: TokenRecord, challenges: readonly AuthChallenge[]): Promise<boolean> {
    if (!(await isOurs(record))) return false
    const url = challenges.map(({ parameters }) => parameters.resource_metadata).find((value) => value !== undefined)
    const metadata = await discoverResource({ ...discovery, signal: AbortSignal.timeout(30_000) }, { url, allowForeign: false })
    return metadata === undefined || belongsToIssuer(record, metadata.authorizationServers, server)
  }

  async function send(record: TokenRecord, refreshToken: string, beforeSend?: () => void): Promise<TokenResponse> {
    const authorizationServer = await serverOf(record)
    const identity = await identityOfRecord(settings, record.client, authorizationServer)
    if (!identity) throw errors.notRenewable()
    const jwk = dpopJwkOf(record)
    const ask = grantRequest(context, {
      authorizationServer,
      // Where the certificate's endpoint was used, it is the one in the record.
      client: { client_id: identity.client.client_id },
      clientAuth: identity.clientAuth,
      resource: settings.dangerouslyOmitResource ? undefined : (record.resource ?? settings.resource),
      scope: settings.scopeOnRefresh === 'requested' ? record.requested_scope : undefined,
      dpop: jwk && proofs(jwk)
    })
    return await refreshTokenGrant(ask, refreshToken, beforeSend)
  }

  /** Where the tokens came from. A record that does not say was written elsewhere: then only the user's word, or the server's own origin, will do. */
  async function serverOf(record: TokenRecord): Promise<AuthorizationServer> {
    const endpoint = isBound(record) ? record.token_endpoint : tokenUrl
    if (endpoint !== undefined) return { issuer: record.issuer ?? new URL(endpoint).origin, token_endpoint: endpoint }
    const challenge = { url: undefined, allowForeign: false, refused: true }
    const { authorizationServer } = await findTarget(settings, discovery, challenge, record.issuer)
    if (!belongsToIssuer(record, [authorizationServer.issuer], server)) throw errors.notRenewable()
    return authorizationServer
  }

  /** An endpoint without its issuer could be anyone's, unless it is the server's own. */
  function isBound({ issuer, token_endpoint }: TokenRecord): boolean {
    if (token_endpoint === undefined || !URL.canParse(token_endpoint)) return false
    return issuer !== undefined || new URL(token_endpoint).origin === server.origin
  }

  return { isOurs, isStillOurs, send }
}
