// A host that takes a provider and no fetch: LangChain's MCP adapters, as its users call them.

import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import { asOAuthClientProvider } from '@mcpauth/core'
import { oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { openScene, type Road, roads } from '../wire/roads.ts'
import { settled } from './provider-clients.ts'

interface Tool {
  name: string
  invoke(input: object): Promise<unknown>
}

interface Host extends AsyncDisposable {
  tools(): Promise<Tool[]>
  say(text: string): Promise<unknown>
}

function host({ transport }: Road, url: URL, authProvider: unknown): Host {
  const client = new MultiServerMCPClient({
    mcpServers: { protected: { transport, url: url.href, authProvider: authProvider as never } as never },
    throwOnLoadError: true,
    prefixToolNameWithServerName: false
  })
  const tools = async (): Promise<Tool[]> => (await client.getTools()) as unknown as Tool[]
  return {
    tools,
    async say(text) {
      const echo = (await tools()).find(({ name }) => name === 'echo') as Tool
      return await echo.invoke({ text })
    },
    [Symbol.asyncDispose]: () => client.close()
  }
}

describe.each(roads.filter(({ sdk }) => sdk === 'v1'))('@langchain/mcp-adapters over $name', (road) => {
  test('loads the tools and calls one with the cached token', async () => {
    await using scene = await openScene(road)
    const cached = oauthTokens(scene.url, { store: scene.store })
    await using langchain = host(road, scene.url, asOAuthClientProvider(cached))
    expect((await langchain.tools()).map(({ name }) => name)).toContain('echo')
    expect(await langchain.say('hello')).toBe('hello')
    expect(scene.as.ledger).toMatchObject({ refreshes: 0, logins: 0, registrations: 0 })
  })

  test('T7: twenty calls on a token at its end cost one refresh', async () => {
    let offset = 0
    await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
    await using langchain = host(road, scene.url, asOAuthClientProvider(scene.tokens))
    await langchain.tools()
    await settled(scene)
    offset = 700_000
    const texts = Array.from({ length: 20 }, (_, n) => `call ${n}`)
    expect(await Promise.all(texts.map((text) => langchain.say(text)))).toEqual(texts)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, refusedRefreshes: 0, reuses: 0, revokedGrants: 0 })
  })

  test('T20: without a token its error says who wants a login, and nobody is registered or asked', async () => {
    await using scene = await openScene(road)
    await using langchain = host(road, scene.url, asOAuthClientProvider(oauthTokens(scene.url, { store: memoryStore() })))
    const error = await langchain.tools().catch((caught: unknown) => caught)
    expect(String(error)).toContain(`${scene.url.href} wants a login`)
    expect(scene.as.ledger).toMatchObject({ logins: 0, registrations: 0 })
  })
})
