import { createHash } from 'node:crypto'
import { checkSecretSource, readSecret, type SecretSource } from '../secret-source.ts'
import type { Grant, GrantRequest } from './grant.ts'
import { refreshTokenGrant } from './refresh-token.ts'

/**
 * Access tokens for a durable refresh token that was got elsewhere, as CI has it in a variable. A server that rotates refresh tokens gives a new one
 * back; that is kept in the store and wins, until the variable holds another.
 *
 * @param options `refreshToken`: where it is.
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { refreshTokenOnly, withOAuth } from '@mcpauth/oauth'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', {
 *   client: { clientId: 'ci', clientSecret: { env: 'CI_CLIENT_SECRET' } },
 *   grant: refreshTokenOnly({ refreshToken: { env: 'CI_REFRESH_TOKEN' } })
 * })
 * ```
 */
export function refreshTokenOnly({ refreshToken }: { refreshToken: SecretSource }): Grant {
  checkSecretSource('grant.refreshToken', refreshToken)
  return Object.assign(
    async (ask: GrantRequest) =>
      await refreshTokenGrant({ ...ask, scope: undefined }, await readSecret('grant.refreshToken', refreshToken, ask.env)),
    {
      grantType: 'refresh_token',
      bringsSecret: true,
      seed: async (env: GrantRequest['env']) =>
        createHash('sha256')
          .update(await readSecret('grant.refreshToken', refreshToken, env))
          .digest('base64url')
    }
  )
}
