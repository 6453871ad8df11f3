import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { authFetch } from '../src/index.ts'

const made = vi.hoisted(() => [] as unknown[])
vi.mock('undici', async (original) => {
  const undici = await original<typeof import('undici')>()
  class Agent extends undici.Agent {
    constructor(options?: ConstructorParameters<typeof undici.Agent>[0]) {
      made.push(options)
      super(options)
    }
  }
  return { ...undici, Agent }
})

test('an event stream may be silent for as long as its server likes: our own agent does not end it', async () => {
  const server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  vi.stubEnv('http_proxy', '')
  vi.stubEnv('HTTP_PROXY', '')
  vi.stubEnv('https_proxy', '')
  vi.stubEnv('HTTPS_PROXY', '')
  onTestFinished(() => void vi.unstubAllEnvs())
  await using fetch = authFetch([])
  expect(await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text()).toBe('ok')
  expect(made).toEqual([expect.objectContaining({ bodyTimeout: 0 })])
})
