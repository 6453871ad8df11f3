import { publish, type TokenRecord } from '@mcpauth/core'
import { revocationRequest } from 'oauth4webapi'
import { type AuthorizationContext, grantRequest } from './authorization-context.ts'
import { findTarget } from './authorization-target.ts'
import { identityOfRecord } from './client-identity.ts'
import { built, type GrantRequest, requestOptions } from './grants/grant.ts'

/**
 * Revokes the tokens of a record where their authorization server offers it (RFC 7009, N41): the refresh token first, because that ends the grant.
 * Best effort: a logout must also work while the server is away.
 */
export async function revokeTokens(context: AuthorizationContext, record: TokenRecord): Promise<void> {
  const { settings } = context
  try {
    const ask = await revocationAsk(context, record)
    if (!ask) return
    for (const token of [record.refresh_token, record.access_token]) {
      if (token === undefined) continue
      const options = requestOptions(ask, 'the revocation', { deadlineMs: 10_000 })
      await built(() => revocationRequest(ask.authorizationServer, ask.client, ask.clientAuth, token, options as never))
    }
  } catch {
    publish('mcpauth:store:warning', { what: 'the tokens were forgotten here, but the server could not be told', server: settings.key.url })
  }
}

/** Only to the issuer that the tokens are from. */
async function revocationAsk(context: AuthorizationContext, record: TokenRecord): Promise<GrantRequest | undefined> {
  const { settings, discovery } = context
  const { authorizationServer } = await findTarget(
    settings,
    discovery,
    { url: undefined, allowForeign: false, refused: false },
    record.issuer
  )
  if (authorizationServer.revocation_endpoint === undefined || authorizationServer.issuer !== record.issuer) return undefined
  const identity = await identityOfRecord(settings, record.client, authorizationServer)
  if (!identity) return undefined
  return grantRequest(context, { authorizationServer, client: identity.client, clientAuth: identity.clientAuth })
}
