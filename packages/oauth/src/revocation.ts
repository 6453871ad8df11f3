import { publish, type TokenRecord } from '@mcpauth/core'
import { type AuthorizationContext, grantRequest } from './authorization-context.ts'
import { findTarget } from './authorization-target.ts'
import { identityOfRecord } from './client-identity.ts'
import { built, requestOptions } from './grants/grant.ts'
import { loadProtocol } from './protocol.ts'

/**
 * Revokes the tokens of a record where their authorization server offers it (RFC 7009, N41): the refresh token first, because that ends the grant.
 * Best effort: a logout must also work while the server is away.
 */
export async function revokeTokens(context: AuthorizationContext, record: TokenRecord): Promise<void> {
  const told = await tellServer(context, record).catch(() => false)
  if (told) return
  publish('mcpauth:store:warning', {
    what: 'the tokens were forgotten here, but the server did not revoke them',
    server: context.settings.key.url
  })
}

/** Whether the grant is over there, or the server has no way to end it. */
async function tellServer(context: AuthorizationContext, record: TokenRecord): Promise<boolean> {
  const { settings, discovery } = context
  const challenge = { url: undefined, allowForeign: false, refused: false }
  const { authorizationServer } = await findTarget(settings, discovery, challenge, record.issuer)
  // Nobody else may see them.
  if (authorizationServer.issuer !== record.issuer) return false
  if (authorizationServer.revocation_endpoint === undefined) return true
  const identity = await identityOfRecord(settings, record.client, authorizationServer)
  if (!identity) return false
  const ask = grantRequest(context, { authorizationServer, client: identity.client, clientAuth: identity.clientAuth })
  const protocol = await loadProtocol()
  const tokens = [record.refresh_token, record.access_token].filter((token) => token !== undefined)
  let first: boolean | undefined
  for (const token of tokens) {
    const options = requestOptions(protocol, ask, 'the revocation', { deadlineMs: 10_000 })
    const { ok } = await built(() =>
      protocol.revocationRequest(ask.authorizationServer, ask.client, ask.clientAuth, token, options as never)
    )
    // With the grant its access tokens end (RFC 7009 §2.1); many servers cannot revoke those alone.
    first ??= ok
  }
  return first !== false
}
