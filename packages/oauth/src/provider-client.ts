import type { Client, ClientAuth } from 'oauth4webapi'
import { clientAuthentication, readPrivateKey, settleAuthMethod } from './client-authentication.ts'
import type { GrantRequest } from './grants/grant.ts'
import type { ClientOptions } from './options.ts'
import { readSecret } from './secret-source.ts'

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
  const secret = options.clientSecret && (await readSecret(`${name}.clientSecret`, options.clientSecret, env))
  const pem = options.privateKey && (await readSecret(`${name}.privateKey`, options.privateKey, env))
  const privateKey = pem === undefined ? undefined : readPrivateKey(pem, options.signingAlgorithm, options.keyId)
  const has = { secret: secret !== undefined, privateKey: privateKey !== undefined }
  const method = settleAuthMethod(options.tokenEndpointAuthMethod, has, methods)
  return { client: { client_id: options.clientId }, clientAuth: clientAuthentication(method, { secret, privateKey }, now) }
}
