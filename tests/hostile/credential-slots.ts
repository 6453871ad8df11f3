import { generateKeyPairSync } from 'node:crypto'
import { withBearer } from '@mcpauth/bearer-env'
import type { Interceptor } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { clientCredentials, withOAuth } from '@mcpauth/oauth'
import { withRedactor } from '@mcpauth/redactor'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { withSignature, withWebBotAuth } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { memoryStore } from '@mcpauth/token-store'
import { createCanary } from './canary.ts'
import { storeSlots } from './store-slots.ts'

/** A place where a secret enters. */
export interface CredentialSlot {
  readonly title: string
  /** The secrets, by what they are. */
  readonly canaries: Readonly<Record<string, string>>
  /** Which of them really go over the wire to the MCP server or the authorization server. */
  readonly sent: readonly string[]
  make(server: string, log: (line: string) => void): Interceptor | Promise<Interceptor | Interceptor[]> | Interceptor[]
}

/** What the echoing server grants. */
export const grantedToken: string = createCanary('granted')

function slot(
  title: string,
  names: readonly string[],
  sent: readonly string[],
  make: (canary: Record<string, string>) => CredentialSlot['make']
): CredentialSlot {
  const canaries = Object.fromEntries(names.map((name) => [name, createCanary(name)]))
  return { title, canaries, sent, make: make(canaries) }
}

const ed25519 = generateKeyPairSync('ed25519').privateKey
const jwk = ed25519.export({ format: 'jwk' }) as { d: string }

/** Every package that holds a credential. A package that is added is added here. */
export const credentialSlots: readonly CredentialSlot[] = [
  slot(
    'bearer-env, env',
    ['token'],
    ['token'],
    ({ token }) =>
      (server) =>
        withBearer(server, { env: 'TOKEN', environment: { TOKEN: token } })
  ),
  slot(
    'bearer-env, get',
    ['token'],
    ['token'],
    ({ token }) =>
      (server) =>
        withBearer(server, { get: async () => token as string })
  ),
  slot(
    'header-injector, env',
    ['key'],
    ['key'],
    ({ key }) =>
      (server) =>
        // biome-ignore lint/suspicious/noTemplateCurlyInString: withHeaders fills it in
        withHeaders(server, { 'X-Api-Key': { env: 'KEY' }, 'X-Both': 'prefix-${KEY}' }, { env: { KEY: key } })
  ),
  slot(
    'refresh-on-401, own source',
    ['token'],
    ['token'],
    ({ token }) =>
      (server) =>
        withRefreshOn401(server, {
          current: () => ({ value: token as string, scheme: 'Bearer', generation: 1, origin: 'stored' }),
          renew: async () => {
            throw new Error('no other token')
          }
        })
  ),
  slot('refresh-on-401, own source that has another token', ['token', 'other'], ['token', 'other'], ({ token, other }) => (server) => {
    let now = { value: token as string, scheme: 'Bearer', generation: 1, origin: 'stored' } as const
    return withRefreshOn401(server, {
      current: () => now,
      renew: async () => {
        now = { ...now, value: other as string, generation: 2 } as never
        return now
      }
    })
  }),
  slot(
    'oauth, client credentials',
    ['secret'],
    ['secret'],
    ({ secret }) =>
      (server) =>
        withOAuth(server, {
          client: { clientId: 'robot', clientSecret: () => secret as string },
          grant: clientCredentials(),
          store: memoryStore()
        })
  ),
  ...storeSlots,
  slot(
    'sigv4',
    ['secretKey', 'session'],
    ['session'],
    ({ secretKey, session }) =>
      (server) =>
        withSigV4(server, {
          region: 'eu-central-1',
          service: 'execute-api',
          credentials: async () => ({
            accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
            secretAccessKey: secretKey as string,
            sessionToken: session as string
          }),
          env: {}
        })
  ),
  {
    title: 'rfc9421-signer, JWK',
    canaries: { key: jwk.d },
    sent: [],
    make: (server) => withSignature(server, { key: { ...jwk } })
  },
  {
    title: 'rfc9421-signer, web bot auth',
    canaries: { key: jwk.d },
    sent: [],
    make: (server) => withWebBotAuth(server, { key: { ...jwk } })
  },
  slot('redactor behind bearer-env and header-injector', ['token', 'key'], ['token', 'key'], ({ token, key }) => (server, log) => [
    withHeaders(server, { 'X-Plain-Name': { env: 'KEY' } }, { env: { KEY: key } }),
    withBearer(server, { get: () => token as string }),
    withRedactor(server, { log, bodies: true })
  ])
]
