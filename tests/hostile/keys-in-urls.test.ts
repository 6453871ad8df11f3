import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, type Interceptor, McpAuthError, type TokenStore } from '@mcpauth/core'
import { clientCredentials, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { withRedactor } from '@mcpauth/redactor'
import { withSignature } from '@mcpauth/rfc9421-signer'
import { fileStore, memoryStore } from '@mcpauth/token-store'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createCanary, everythingOf, leaksIn } from './canary.ts'
import { type EchoingServer, type Mood, startEchoingServer } from './echoing-server.ts'
import { deadline, fullDisk, grantOf, keep, keyOf, temporaryFolders } from './hostile-stores.ts'
import { type Sinks, watchSinks } from './sinks.ts'

const folders = temporaryFolders()
let server: EchoingServer
let sinks: Sinks
beforeAll(async () => {
  server = await startEchoingServer('granted')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  folders[Symbol.dispose]()
})
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => sinks[Symbol.dispose]())

const client = { clientId: 'robot', clientSecret: () => 'the-secret-of-the-robot' }
const layers: Record<string, (url: string, log: (line: string) => void) => Interceptor | Interceptor[]> = {
  'a bearer token': (url) => withBearer(url, { get: () => 'some-bearer-token' }),
  'OAuth, without a login': (url) => withOAuth(url, { store: memoryStore() }),
  'OAuth, with a client secret': (url) => withOAuth(url, { store: memoryStore(), client, grant: clientCredentials() }),
  'a signature, and the redactor': (url, log) => [
    withSignature(url, { key: { kty: 'OKP', crv: 'Ed25519', d: Buffer.alloc(32, 7).toString('base64url') } }),
    withRedactor(url, { log, bodies: true })
  ]
}
const silent: readonly Mood[] = ['accepts', 'refuses', 'refuses without a challenge', 'wants more scope', 'fails', 'drops', 'redirects']

test.each(Object.entries(layers))(
  'T13: a key in the query of the server’s URL is in no error, event or log: %s',
  async (_title, layersOf) => {
    for (const mood of silent) {
      server.mood = mood
      const key = createCanary('key')
      const url = `${server.url}?profile=x&api_key=${key}`
      const log: string[] = []
      await using fetch = authFetch(layersOf(url, (line) => log.push(line)))
      const thrown = await fetch(url, { method: 'POST', body: '{}' }).then(
        () => undefined,
        (error: unknown) => error
      )
      expect(leaksIn([everythingOf(thrown), ...log, sinks.text()].join('\n'), { key }), mood).toEqual([])
      expect(leaksIn(server.received(), { key })).toEqual([])
    }
    expect(server.paths().at(-1)).toMatch(/\?profile=x&api_key=canary-key-/)
  }
)

test('T13: nor in those of stores and logins', async () => {
  const key = createCanary('key')
  const url = `${server.url}?api_key=${key}`
  const root = folders.make()
  await keep(fileStore({ root }), keyOf(url), grantOf(url, { access: 'some-access', refresh: 'some-refresh', secret: 'some-secret' }))
  const busy = fileStore({ root })
  const lateWrite = async (store: TokenStore): Promise<void> => {
    let kept: (() => Promise<void>) | undefined
    await store.transact(
      keyOf(url),
      async (held) => {
        kept = () => held.write({})
      },
      deadline
    )
    await kept?.()
  }
  const works: Array<() => Promise<unknown>> = [
    () => keep(fileStore({ root, probe: fullDisk() }), keyOf(url), { access_token: 'next-access' }),
    () => busy.transact(keyOf(url), () => busy.transact(keyOf(url), async () => 0, deadline), deadline),
    () => busy.transact(keyOf(url), () => fileStore({ root }).transact(keyOf(url), async () => 0, { deadlineMs: 30 }), deadline),
    () => lateWrite(memoryStore()),
    () => lateWrite(fileStore({ root })),
    () => oauthTokens(url, { store: memoryStore() }).login()
  ]
  for (const work of works) {
    const thrown = await work().then(
      () => undefined,
      (error: unknown) => error
    )
    expect(McpAuthError.is(thrown)).toBe(true)
    expect(leaksIn(everythingOf(thrown) + sinks.text(), { key })).toEqual([])
  }
})
