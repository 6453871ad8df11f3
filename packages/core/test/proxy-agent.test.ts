import { inspect } from 'node:util'
import { EnvHttpProxyAgent } from 'undici'
import { expect, test } from 'vitest'
import { proxyAgent } from '../src/index.ts'

test('T13 a proxy that is no URL is refused without quoting it, as it may hold a password', () => {
  const make = (): unknown => new EnvHttpProxyAgent({ httpProxy: 'http://user:the-secret-password@[' })
  expect(make).toThrow(expect.objectContaining({ input: expect.stringContaining('the-secret-password') }))
  const refusal = (): unknown => {
    try {
      return proxyAgent(make)
    } catch (error) {
      return error
    }
  }
  expect(refusal()).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
  expect(inspect(refusal(), { showHidden: true, depth: null })).not.toContain('the-secret-password')
})

test('an agent that can be made is the one that is used', async () => {
  const agent = new EnvHttpProxyAgent({ httpProxy: 'http://proxy.example.com:3128' })
  expect(proxyAgent(() => agent)).toBe(agent)
  await agent.close()
})
