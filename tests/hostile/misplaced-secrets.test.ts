import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, type Interceptor, McpAuthError } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withMtls } from '@mcpauth/mtls'
import {
  clientCredentials,
  jwtBearer,
  type OAuthOptions,
  oauthTokens,
  refreshTokenOnly,
  tokenExchange,
  workloadIdentity
} from '@mcpauth/oauth'
import { withSignature } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { memoryStore } from '@mcpauth/token-store'
import { afterAll, expect, test } from 'vitest'
import { answeringNetwork } from './answering-network.ts'
import { createCanary, everythingOf, leaksIn } from './canary.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcpauth-misplaced-'))
afterAll(() => rmSync(folder, { recursive: true }))

const url = 'https://mcp.example.invalid/mcp'
/** For each test one of its own: what an earlier one has got registered would be taken out of what a later one says. */
const freshCanary = (): string => createCanary('misplaced')

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** Whatever is sent is refused, so that a second credential is asked for. */
const refusing: Interceptor = () => (_options, handler) => {
  const controller = { aborted: false, reason: null, paused: false, rawHeaders: [], abort: () => {}, pause: () => {}, resume: () => {} }
  handler.onRequestStart?.(controller, {})
  handler.onResponseStart?.(controller, 401, { 'www-authenticate': 'Bearer' }, 'Unauthorized')
  handler.onResponseEnd?.(controller, {})
  return true
}
const brokenPem = (canary: string): string => `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----\n`
const credentials =
  (fields: object): (() => Promise<never>) =>
  async () =>
    ({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', ...fields }) as never
const throwing = (canary: string) => (): never => {
  throw Object.assign(new Error(`cannot open the vault with ${canary}`), { vault: canary, cause: new Error(canary) })
}

/** A secret that is damaged, in the wrong place, or in the hands of code that fails. */
const misplaced: Record<string, (canary: string) => Interceptor | Interceptor[]> = {
  'a token with a line break': (canary) => withBearer(url, { env: 'T', environment: { T: `${canary}\r\nX-Evil: 1` } }),
  'a token with NUL': (canary) => withBearer(url, { get: () => `${canary}\u0000` }),
  'a token beyond Latin-1': (canary) => withBearer(url, { get: () => `${canary}漢` }),
  'a token file with two lines': (canary) => withBearer(url, { file: file('token', `${canary}\n${canary}\n`) }),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: references to environment variables are written so.
  'a token in the variable that was to hold a name': (canary) => withBearer(url, { env: '${T}', environment: { T: canary } }),
  'a token in the place of the name': (canary) => withBearer(url, { env: canary.replaceAll('-', '_'), environment: {} }),
  'a token function that throws': (canary) => withBearer(url, { get: throwing(canary) }),
  'a header with a line break': (canary) => withHeaders(url, { 'X-Key': { env: 'K' } }, { env: { K: `${canary}\nX: 1` } }),
  'a header function that throws': (canary) => withHeaders(url, { 'X-Key': throwing(canary) }),
  'a literal header with a line break': (canary) => withHeaders(url, { 'X-Key': `${canary}\n` }),
  'a secret as the name of a header': (canary) => withHeaders(url, { [`${canary} `]: 'x' }),
  'a password in the URL': (canary) => withBearer(`https://user:${canary}@mcp.example.invalid/mcp`, { env: 'T' }),
  'a password in a URL that is none': (canary) => withBearer(`https://user:${canary}@mcp.example.invalid:port/`, { env: 'T' }),
  'AWS keys with a line break': (canary) =>
    withSigV4(url, { region: 'x', service: 'y', credentials: credentials({ secretAccessKey: `${canary}\n` }), env: {} }),
  'AWS keys that are no text': (canary) =>
    withSigV4(url, { region: 'x', service: 'y', credentials: credentials({ secretAccessKey: { canary } }), env: {} }),
  'an AWS provider that throws': (canary) => withSigV4(url, { region: 'x', service: 'y', credentials: throwing(canary), env: {} }),
  'a signing key that is damaged': (canary) => withSignature(url, { key: { file: file('key.pem', brokenPem(canary)) } }),
  'a signing key in JSON that is cut': (canary) => withSignature(url, { key: { env: 'K' }, env: { K: `{"kty":"OKP","d":"${canary}` } }),
  'a JWK with a wrong curve': (canary) => withSignature(url, { key: { kty: 'OKP', crv: canary, d: canary, x: canary } }),
  'a client key that is damaged': (canary) =>
    withMtls(url, { cert: { env: 'C' }, key: { env: 'K' }, env: { C: brokenPem(canary), K: brokenPem(canary) } })
}

test.each(Object.entries(misplaced))('T13 T16: %s is in no error, and nothing was sent', async (_title, make) => {
  const canary = freshCanary()
  let seen: string
  let sent = 0
  const counting: Interceptor = (dispatch) => (options, handler) => {
    sent += 1
    return dispatch(options, handler)
  }
  try {
    const fetch = authFetch(([] as Interceptor[]).concat(make(canary), counting, refusing))
    seen = everythingOf(await fetch(url, { method: 'POST', body: '{}' }))
  } catch (error) {
    seen = everythingOf(error)
  }
  expect(leaksIn(seen, { canary })).toEqual([])
  expect(sent).toBe(0)
})

test.each([
  ['a URL that is none', (fetch: typeof globalThis.fetch, canary: string) => fetch(`https://u:${canary}@h:port/`)],
  ['a header with a strange name', (fetch: typeof globalThis.fetch, canary: string) => fetch(url, { headers: { [`${canary}\n`]: 'x' } })],
  ['a header with a line break', (fetch: typeof globalThis.fetch, canary: string) => fetch(url, { headers: { 'X-Key': `${canary}\n` } })],
  ['a password in the URL', (fetch: typeof globalThis.fetch, canary: string) => fetch(`https://u:${canary}@mcp.example.invalid/mcp`)]
])('T13: authFetch given %s says so without it', async (_title, send) => {
  const fetch = authFetch([withBearer(url, { get: () => 'not-the-canary' }), refusing])
  const canary = freshCanary()
  let seen = ''
  try {
    await send(fetch as never, canary)
  } catch (error) {
    seen = everythingOf(error)
  }
  expect(seen).not.toBe('')
  expect(leaksIn(seen, { canary })).toEqual([])
})

const issuer = 'https://as.example.invalid'
const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  code_challenge_methods_supported: ['S256'],
  response_types_supported: ['code'],
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  grant_types_supported: ['client_credentials']
}

/** What OAuth reads only when a token is asked for. */
const misplacedInOAuth: Record<string, (canary: string) => OAuthOptions> = {
  'a client secret function that throws': (canary) => ({
    client: { clientId: 'x', clientSecret: throwing(canary) },
    grant: clientCredentials()
  }),
  'a client secret function that rejects': (canary) => ({
    client: { clientId: 'x', clientSecret: async () => throwing(canary)() },
    grant: clientCredentials()
  }),
  'a client secret in a variable with the wrong name': (canary) => ({
    client: { clientId: 'x', clientSecret: { env: 'MISSING' } },
    grant: clientCredentials(),
    env: { OTHER: canary }
  }),
  'a client key that is damaged': (canary) => ({
    client: { clientId: 'x', privateKey: { env: 'K' } },
    grant: clientCredentials(),
    env: { K: brokenPem(canary) }
  }),
  'a client key in JSON that is cut': (canary) => ({
    client: { clientId: 'x', privateKey: { env: 'K' } },
    grant: clientCredentials(),
    env: { K: `{"kty":"EC","d":"${canary}` }
  }),
  'an assertion function that throws': (canary) => ({ client: { clientId: 'x' }, grant: jwtBearer({ assertion: throwing(canary) }) }),
  'an assertion that is an object': (canary) => ({
    client: { clientId: 'x' },
    grant: jwtBearer({ assertion: () => ({ canary }) as never })
  }),
  'a workload token in a file with two lines': (canary) => ({
    client: { clientId: 'x' },
    grant: workloadIdentity({ token: { file: file('workload', `${canary}\n${canary}\n`) } })
  }),
  'a subject token function that throws': (canary) => ({
    client: { clientId: 'x' },
    grant: tokenExchange({ subjectToken: throwing(canary) })
  }),
  'a refresh token function that throws': (canary) => ({
    client: { clientId: 'x' },
    grant: refreshTokenOnly({ refreshToken: throwing(canary) })
  })
}

test.each(Object.entries(misplacedInOAuth))('T13 T16: OAuth with %s says so without it', async (_title, optionsFor) => {
  const canary = freshCanary()
  const asked: string[] = []
  const dispatcher = answeringNetwork(({ host, pathname }) => {
    asked.push(pathname)
    if (pathname.includes('oauth-protected-resource'))
      return { status: 200, body: JSON.stringify({ resource: url, authorization_servers: [issuer] }) }
    if (pathname.includes('.well-known')) return { status: 200, body: JSON.stringify(metadata) }
    return host === 'as.example.invalid' ? { status: 400, body: '{"error":"invalid_grant"}' } : { status: 401 }
  })
  let thrown: unknown
  try {
    await oauthTokens(url, { store: memoryStore(), dispatcher, ...optionsFor(canary) }).login()
  } catch (error) {
    thrown = error
  }
  expect(McpAuthError.is(thrown)).toBe(true)
  expect(leaksIn(everythingOf(thrown), { canary })).toEqual([])
})

test('T13: what code of the user throws as an McpAuthError is handed on as it is', async () => {
  const own = new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', 'the vault is sealed', { hint: 'unseal it' })
  const get = (): never => {
    throw own
  }
  for (const layer of [withBearer(url, { get }), withHeaders(url, { 'X-Key': get })]) {
    await expect(authFetch([layer, refusing])(url)).rejects.toBe(own)
  }
})
