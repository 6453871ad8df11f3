import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, type Interceptor } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withMtls } from '@mcpauth/mtls'
import { clientCredentials, withOAuth } from '@mcpauth/oauth'
import { withSignature } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { memoryStore } from '@mcpauth/token-store'
import { afterAll, expect, test } from 'vitest'
import { createCanary, everythingOf, leaksIn } from './canary.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcpauth-misplaced-'))
afterAll(() => rmSync(folder, { recursive: true }))

const url = 'https://mcp.example.invalid/mcp'
const canary = createCanary('misplaced')
const canaries = { canary }

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
const brokenPem = `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----\n`
const credentials =
  (fields: object): (() => Promise<never>) =>
  async () =>
    ({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', ...fields }) as never
const throwing = (): never => {
  throw Object.assign(new Error(`cannot open the vault with ${canary}`), { vault: canary, cause: new Error(canary) })
}

/** A secret that is damaged, in the wrong place, or in the hands of code that fails. */
const misplaced: Record<string, () => Interceptor | Interceptor[]> = {
  'a token with a line break': () => withBearer(url, { env: 'T', environment: { T: `${canary}\r\nX-Evil: 1` } }),
  'a token with NUL': () => withBearer(url, { get: () => `${canary}\u0000` }),
  'a token beyond Latin-1': () => withBearer(url, { get: () => `${canary}漢` }),
  'a token file with two lines': () => withBearer(url, { file: file('token', `${canary}\n${canary}\n`) }),
  'a token function that throws': () => withBearer(url, { get: throwing }),
  'a header with a line break': () => withHeaders(url, { 'X-Key': { env: 'K' } }, { env: { K: `${canary}\nX: 1` } }),
  'a header function that throws': () => withHeaders(url, { 'X-Key': throwing }),
  'a literal header with a line break': () => withHeaders(url, { 'X-Key': `${canary}\n` }),
  'a secret as the name of a header': () => withHeaders(url, { [`${canary} `]: 'x' }),
  'a password in the URL': () => withBearer(`https://user:${canary}@mcp.example.invalid/mcp`, { env: 'T' }),
  'a password in a URL that is none': () => withBearer(`https://user:${canary}@mcp.example.invalid:port/`, { env: 'T' }),
  'AWS keys with a line break': () =>
    withSigV4(url, { region: 'x', service: 'y', credentials: credentials({ secretAccessKey: `${canary}\n` }), env: {} }),
  'AWS keys that are no text': () =>
    withSigV4(url, { region: 'x', service: 'y', credentials: credentials({ secretAccessKey: { canary } }), env: {} }),
  'an AWS provider that throws': () => withSigV4(url, { region: 'x', service: 'y', credentials: throwing, env: {} }),
  'a signing key that is damaged': () => withSignature(url, { key: { file: file('key.pem', brokenPem) } }),
  'a signing key in JSON that is cut': () => withSignature(url, { key: { env: 'K' }, env: { K: `{"kty":"OKP","d":"${canary}` } }),
  'a JWK with a wrong curve': () => withSignature(url, { key: { kty: 'OKP', crv: canary, d: canary, x: canary } }),
  'a client key that is damaged': () => withMtls(url, { cert: { env: 'C' }, key: { env: 'K' }, env: { C: brokenPem, K: brokenPem } }),
  'a client secret function that throws': () =>
    withOAuth(url, {
      client: { clientId: 'x', clientSecret: throwing },
      grant: clientCredentials(),
      tokenUrl: 'https://as.example.invalid/token',
      store: memoryStore(),
      dispatcher: { dispatch: throwing }
    })
}

/** Only the server's challenge makes OAuth look for its client secret. */
const asksTheServerFirst = new Set(['a client secret function that throws'])

test.each(Object.entries(misplaced))('T13 T16: %s is in no error, and nothing was sent', async (title, make) => {
  let seen: string
  let sent = 0
  const counting: Interceptor = (dispatch) => (options, handler) => {
    sent += 1
    return dispatch(options, handler)
  }
  try {
    const fetch = authFetch(([] as Interceptor[]).concat(make(), counting, refusing))
    seen = everythingOf(await fetch(url, { method: 'POST', body: '{}' }))
  } catch (error) {
    seen = everythingOf(error)
  }
  expect(leaksIn(seen, canaries)).toEqual([])
  if (!asksTheServerFirst.has(title)) expect(sent).toBe(0)
})

test.each([
  ['a URL that is none', (fetch: typeof globalThis.fetch) => fetch(`https://u:${canary}@h:port/`)],
  ['a header with a strange name', (fetch: typeof globalThis.fetch) => fetch(url, { headers: { [`${canary}\n`]: 'x' } })],
  ['a header with a line break', (fetch: typeof globalThis.fetch) => fetch(url, { headers: { 'X-Key': `${canary}\n` } })],
  ['a password in the URL', (fetch: typeof globalThis.fetch) => fetch(`https://u:${canary}@mcp.example.invalid/mcp`)]
])('T13: authFetch given %s says so without it', async (_title, send) => {
  const fetch = authFetch([withBearer(url, { get: () => 'not-the-canary' }), refusing])
  let seen = ''
  try {
    await send(fetch as never)
  } catch (error) {
    seen = everythingOf(error)
  }
  expect(seen).not.toBe('')
  expect(leaksIn(seen, canaries)).toEqual([])
})
