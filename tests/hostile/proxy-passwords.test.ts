import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { authFetch, type FetchLike } from '@mcpauth/core'
import { withMtls } from '@mcpauth/mtls'
import { clientCredentials, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createAuthority } from '../../packages/mtls/test/certificates.ts'
import { createCanary, everythingOf, leaksIn } from './canary.ts'
import { type Sinks, watchSinks } from './sinks.ts'

let sinks: Sinks
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => {
  sinks[Symbol.dispose]()
  vi.unstubAllEnvs()
})

/** A proxy that refuses everybody with 407, or hangs up. */
async function refusingProxy(answer: string): Promise<number> {
  const server = createServer((_request, response) => void response.writeHead(407).end())
  server.on('connect', (_request, socket) => void socket.end(answer))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const url = 'https://mcp.example.invalid/mcp'
/** Everything of ours that reads the variables. */
const users: Record<string, (env: Record<string, string>) => Promise<unknown>> = {
  authFetch: async () => {
    await using fetch = authFetch([])
    await fetch(url, { method: 'POST', body: '{}' })
  },
  'the agent of withMtls': async (env) => {
    // The layer's own variables, and nobody else's.
    vi.unstubAllEnvs()
    const { cert } = await createAuthority('servers')
    const layer = withMtls(url, { env: { ...env, CA: cert }, ca: { env: 'CA' } })
    const fetch: FetchLike & AsyncDisposable = authFetch(layer)
    try {
      await fetch(url, { method: 'POST', body: '{}' })
    } finally {
      await fetch[Symbol.asyncDispose]()
    }
  },
  'the agent for authorization servers': async () => {
    const client = { clientId: 'robot', clientSecret: () => 'the-secret-of-the-robot' }
    await oauthTokens(url, {
      store: memoryStore(),
      client,
      grant: clientCredentials(),
      tokenUrl: 'https://as.example.invalid/token'
    }).login()
  }
}
const proxies: Record<string, (password: string) => Promise<string>> = {
  'is no URL': async (password) => `http://user:${password}@127.0.0.1:port`,
  'has a strange scheme': async (password) => `gopher://user:${password}@127.0.0.1:1`,
  'is not there': async (password) => `http://user:${password}@127.0.0.1:1`,
  'refuses the password': async (password) =>
    `http://user:${password}@127.0.0.1:${await refusingProxy('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')}`,
  'hangs up': async (password) => `http://user:${password}@127.0.0.1:${await refusingProxy('')}`
}
const cases = Object.entries(users).flatMap(([user, send]) =>
  Object.entries(proxies).map(([how, proxyOf]) => [user, how, send, proxyOf] as const)
)

test.each(cases)('T13: %s with a proxy that %s says so without the proxy’s password', async (_user, _how, send, proxyOf) => {
  const password = createCanary('proxy-password')
  const proxy = await proxyOf(password)
  const env = { HTTPS_PROXY: proxy, https_proxy: proxy, HTTP_PROXY: proxy, http_proxy: proxy, NO_PROXY: '', no_proxy: '' }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const thrown = await send(env).then(
    () => undefined,
    (error: unknown) => error
  )
  expect(thrown).toBeInstanceOf(Error)
  expect(leaksIn(everythingOf(thrown) + sinks.text(), { password, encoded: Buffer.from(`user:${password}`).toString('base64') })).toEqual(
    []
  )
})
