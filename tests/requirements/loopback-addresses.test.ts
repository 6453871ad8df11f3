import { networkInterfaces } from 'node:os'
import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'))

const addresses = [
  { host: '127.0.0.1', present: true },
  { host: '[::1]', present: hasIPv6 }
] as const

describe.each(addresses)('$host', ({ host, present }) => {
  test.skipIf(!present)('T10 N31: a login comes back to it', async () => {
    await using as = await startAuthorizationServer()
    await using server = await startMcpServerV2({ authorizationServer: as })
    const redirects: string[] = []
    const open = async (url: URL): Promise<void> => {
      redirects.push(url.searchParams.get('redirect_uri') ?? '')
      await as.approve(url)
    }
    const tokens = oauthTokens(server.url, { login: browserLogin({ host, open, print: () => undefined }), store: memoryStore() })
    expect(await tokens.login()).toMatchObject({ loggedIn: true })
    expect(new URL(redirects[0] as string).hostname).toBe(host)
  })
})
