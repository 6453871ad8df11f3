import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { startAuthorizationServer, startMcpServerV2, startOrigin } from '../servers/index.ts'

test('N14 N15: a server that has forgotten the registration shows a page and calls nobody back: the error says what to do, and that helps', async () => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  const store = memoryStore()
  const spare = await startOrigin()
  const port = Number(spare.url.port)
  await spare.close()
  const asked: string[] = []
  const loginWithin = (timeoutMs: number) =>
    browserLogin({
      port,
      timeoutMs,
      open: async (url) => {
        asked.push(url.searchParams.get('client_id') ?? '')
        // The person reads an error page, and nothing else happens.
        await as.approve(url).catch(() => undefined)
      },
      print: () => undefined
    })
  const tokens = oauthTokens(server.url, { login: loginWithin(60_000), store })
  await tokens.login()

  const key = { kind: 'client', issuer: as.issuer } as const
  await store.transact(
    key,
    async (held) => {
      const record = await held.read()
      if (record?.client) await held.write({ ...record, client: { ...record.client, client_id: 'forgotten' } })
    },
    { deadlineMs: 1_000 }
  )
  // Nobody comes back, so a short time will do.
  await expect(oauthTokens(server.url, { login: loginWithin(1_000), store }).login()).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    hint: expect.stringContaining('--new-registration')
  })
  expect(await tokens.login({ newRegistration: true })).toMatchObject({ loggedIn: true })
  expect(asked[1]).toBe('forgotten')
  expect(asked[2]).not.toBe('forgotten')
  expect(as.ledger.registrations).toBe(2)
})
