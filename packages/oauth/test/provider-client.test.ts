import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { clientAtProvider } from '../src/provider-client.ts'

const from = { env: { SECRET: 'the-secret-there' }, now: () => 1_700_000_000_000 }
const clientSecret = { env: 'SECRET' }

/** What a request to the provider carries. */
async function proof(...given: Parameters<typeof clientAtProvider>): Promise<{ client: unknown; sent: Record<string, string> }> {
  const { client, clientAuth } = await clientAtProvider(...given)
  const [body, headers] = [new URLSearchParams(), new Headers()]
  await clientAuth({ issuer: 'https://idp.example.com' }, client, body, headers)
  return { client, sent: { ...Object.fromEntries(body), ...Object.fromEntries(headers) } }
}

const basic = { authorization: `Basic ${Buffer.from('agent:the-secret-there').toString('base64')}` }
const post = { client_id: 'agent', client_secret: 'the-secret-there' }

test.each<[string, Record<string, unknown>, string[] | undefined, Record<string, string>]>([
  ['has no secret is public', {}, undefined, { client_id: 'agent' }],
  ['has a secret proves itself in the way that is everywhere', { clientSecret }, undefined, basic],
  ['has a secret proves itself in a way that the provider lists', { clientSecret }, ['client_secret_post'], post],
  ['has chosen a way keeps to it', { clientSecret, tokenEndpointAuthMethod: 'client_secret_post' }, undefined, post]
])('N36: a client that %s at an identity provider', async (_name, options, methods, sent) => {
  expect(await proof({ clientId: 'agent', ...options }, from, 'idToken', methods)).toEqual({ client: { client_id: 'agent' }, sent })
})

test('N36: a client that has a private key proves itself with that at an identity provider', async () => {
  const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const { sent } = await proof({ clientId: 'agent', clientSecret, privateKey: () => key }, from, 'idToken')
  expect(sent).toEqual({
    client_id: 'agent',
    client_assertion: expect.any(String),
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  })
})

test('a secret that is not there is named as the option that it is', async () => {
  await expect(clientAtProvider({ clientId: 'agent', clientSecret: { env: 'NONE' } }, from, 'grant.client')).rejects.toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: expect.stringContaining('grant.client.clientSecret')
  })
})
