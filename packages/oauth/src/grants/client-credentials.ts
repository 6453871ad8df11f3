import { askForToken, type Grant, grantParameters } from './grant.ts'

/**
 * The client's own tokens, without a person (RFC 6749 §4.4, N36): with a secret, or a private key (RFC 7523 §2.2), as `client` says.
 *
 * @example
 * ```ts
 * import { clientCredentials, withOAuth } from '@mcpauth/oauth'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', {
 *   client: { clientId: 'robot', clientSecret: { env: 'ROBOT_SECRET' } },
 *   grant: clientCredentials()
 * })
 * ```
 */
export function clientCredentials(): Grant {
  return Object.assign(
    (ask: Parameters<Grant>[0]) =>
      askForToken(ask, 'the client credentials grant', (protocol, options) =>
        protocol.clientCredentialsGrantRequest(ask.authorizationServer, ask.client, ask.clientAuth, grantParameters(ask), options)
      ),
    { grantType: 'client_credentials' }
  )
}
