import type { Client, ClientAuth } from 'oauth4webapi'
import { clientAuthentication, readCredentials, settleAuthMethod } from './client-authentication.ts'
import type { GrantRequest } from './grants/grant.ts'
import type { ClientOptions } from './options.ts'

/**
 * Who we are at an identity provider, where nothing is registered.
 *
 * @param name Of the options, for errors.
 * @param methods What the provider lists; with a secret and no list, RFC 8414's default method.
 * @throws `MCPAUTH_CREDENTIAL_MISSING`, `MCPAUTH_KEY_INVALID`
 */
export async function clientAtProvider(
  options: ClientOptions,
  { env, now }: Pick<GrantRequest, 'env' | 'now'>,
  name: string,
  methods?: readonly string[]
): Promise<{ client: Client; clientAuth: ClientAuth }> {
  const credentials = await readCredentials(name, options, env)
  const has = { secret: credentials.secret !== undefined, privateKey: credentials.privateKey !== undefined }
  const method = settleAuthMethod(options.tokenEndpointAuthMethod, has, methods)
  return { client: { client_id: options.clientId }, clientAuth: await clientAuthentication(method, credentials, now) }
}
