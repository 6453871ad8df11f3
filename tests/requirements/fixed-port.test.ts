// A redirect URI with a fixed port, for servers that compare it to the letter.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'

/** Listens where nothing does; closing it gives the port free. */
async function occupy(port = 0): Promise<{ port: number; leave(): Promise<void> }> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, leave: () => new Promise((resolve) => server.close(() => resolve())) }
}

test('T10: a port that is taken between registration and login is an error that names it; nobody is asked, and the registration is kept', async () => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  const free = await occupy()
  await free.leave()
  const opened: URL[] = []
  const login = browserLogin({
    port: free.port,
    open: async (url) => {
      opened.push(url)
      await as.approve(url)
    },
    print: () => undefined
  })
  const tokens = oauthTokens(server.url, { login, store: memoryStore() })
  await tokens.login()
  expect(opened[0]?.searchParams.get('redirect_uri')).toBe(`http://127.0.0.1:${free.port}/callback`)

  const neighbour = await occupy(free.port)
  await expect(tokens.login()).rejects.toMatchObject({ message: expect.stringContaining(String(free.port)), hint: expect.any(String) })
  expect(opened).toHaveLength(1)
  expect(await tokens.status()).toMatchObject({ loggedIn: true })

  await neighbour.leave()
  expect(await tokens.login()).toMatchObject({ loggedIn: true })
  expect(as.ledger).toMatchObject({ registrations: 1, logins: 2 })
})

test('T10: without a fixed port two logins at once have one each', async () => {
  await using as = await startAuthorizationServer()
  await using one = await startMcpServerV2({ authorizationServer: as })
  await using other = await startMcpServerV2({ authorizationServer: as })
  const ports = new Set<string>()
  const both = Promise.withResolvers<void>()
  const open = async (url: URL): Promise<void> => {
    ports.add(new URL(url.searchParams.get('redirect_uri') as string).port)
    if (ports.size === 2) both.resolve()
    await both.promise
    await as.approve(url)
  }
  const store = memoryStore()
  const login = browserLogin({ open, print: () => undefined })
  const statuses = await Promise.all([one, other].map(({ url }) => oauthTokens(url, { login, store }).login()))
  expect(statuses).toMatchObject([{ loggedIn: true }, { loggedIn: true }])
  expect(ports.size).toBe(2)
})
