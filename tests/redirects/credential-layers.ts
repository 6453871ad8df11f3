import { generateKeyPairSync } from 'node:crypto'
import { withBearer } from '@mcpauth/bearer-env'
import type { AccessToken, Interceptor } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { withSignature, withWebBotAuth } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'

/** One way to put a credential on a request, and how to recognise that credential wherever it turns up. */
export interface CredentialLayer {
  title: string
  make(server: string): Interceptor | Interceptor[]
  /** Lower-case names that nothing but the layer sets. */
  names: string[]
}

/** Stands in every secret of every layer. */
export const canary = 'canary-4f1d'

const token: AccessToken = { value: `${canary}-token`, scheme: 'DPoP', generation: 1, origin: 'stored' }
const environment = { TOKEN: `${canary}-token`, KEY: `${canary}-key` }

const { privateKey } = generateKeyPairSync('ed25519')
const awsKeys = { accessKeyId: `${canary}-access-key`, secretAccessKey: 'this-key-is-never-sent', sessionToken: `${canary}-session` }

/** Every layer that sets headers, and those that are used together. */
export const credentialLayers: readonly CredentialLayer[] = [
  {
    title: 'withBearer, env',
    make: (server) => withBearer(server, { env: 'TOKEN', environment }),
    names: ['authorization']
  },
  {
    title: 'withBearer, a promise',
    make: (server) => withBearer(server, { get: async () => `${canary}-token` }),
    names: ['authorization']
  },
  {
    title: 'withHeaders, texts',
    make: (server) => withHeaders(server, { 'X-API-Key': `${canary}-key`, Cookie: `session=${canary}` }),
    names: ['x-api-key', 'cookie']
  },
  {
    title: 'withHeaders, variables and promises',
    make: (server) =>
      withHeaders(server, { 'X-API-Key': { env: 'KEY' }, 'X-Tenant': async () => `${canary}-tenant` }, { env: environment }),
    names: ['x-api-key', 'x-tenant']
  },
  {
    title: 'withRefreshOn401, DPoP',
    make: (server) =>
      withRefreshOn401(server, {
        schemes: ['dpop'],
        current: () => token,
        renew: async () => token,
        authorize: ({ value }) => ({ authorization: `DPoP ${value}`, dpop: `${canary}-proof` })
      }),
    names: ['authorization', 'dpop']
  },
  {
    title: 'withSigV4',
    make: (server) => withSigV4(server, { region: 'eu-central-1', service: 'execute-api', credentials: async () => awsKeys, env: {} }),
    names: ['authorization', 'x-amz-date', 'x-amz-security-token']
  },
  {
    title: 'withSignature',
    make: (server) => withSignature(server, { key: privateKey, keyId: `${canary}-key`, label: canary }),
    names: ['signature', 'signature-input']
  },
  {
    title: 'withWebBotAuth',
    make: (server) => withWebBotAuth(server, { key: privateKey, label: canary, signatureAgent: 'https://bot.example' }),
    names: ['signature', 'signature-input', 'signature-agent']
  },
  {
    title: 'withHeaders before withBearer',
    make: (server) => [
      withHeaders(server, { 'X-API-Key': { env: 'KEY' } }, { env: environment }),
      withBearer(server, { env: 'TOKEN', environment })
    ],
    names: ['x-api-key', 'authorization']
  },
  {
    title: 'withBearer before withSignature',
    make: (server) => [
      withBearer(server, { env: 'TOKEN', environment }),
      withSignature(server, { key: privateKey, keyId: `${canary}-key`, label: canary })
    ],
    names: ['authorization', 'signature', 'signature-input']
  }
]
