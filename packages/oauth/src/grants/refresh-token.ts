import type { TokenResponse } from '../token-response.ts'
import { askForToken, type GrantRequest, grantParameters } from './grant.ts'

/** A refresh is never cancelled once it is written; only this ends it. */
const deadlineMs = 60_000

/**
 * What is sent for a refresh (RFC 6749 §6), with the resource (N23). When, and under which lock, is `refresh.ts`.
 *
 * @param ask Its `scope` is sent only when it is set: a refresh without one keeps what was granted.
 * @param beforeSend Throws where it must not be written any more.
 */
export function refreshTokenGrant(ask: GrantRequest, refreshToken: string, beforeSend?: () => void): Promise<TokenResponse> {
  const unstoppable: GrantRequest = { ...ask, signal: undefined }
  return askForToken(
    unstoppable,
    'the refresh',
    (protocol, options) =>
      protocol.refreshTokenGrantRequest(ask.authorizationServer, ask.client, ask.clientAuth, refreshToken, {
        ...options,
        additionalParameters: grantParameters(ask)
      }),
    { deadlineMs, beforeSend }
  )
}
