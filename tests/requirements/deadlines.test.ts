// Servers that say nothing, by a clock that the test moves.

import { authFetch } from '@mcpauth/core'
import { browserLogin, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'

afterEach(() => void vi.useRealTimers())

/** Whether a promise has not settled yet. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = (): void => {
    settled = true
  }
  promise.then(note, note)
  // Whatever was set free by the clock gets its turn first.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  return !settled
}

/** Waits without the clock: vitest's own waiting would move it. */
async function reached(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

test('T9: metadata that does not come is given up after 10 seconds for each document', async () => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  const silence = as.fault('metadata', { kind: 'silence' })
  const tokens = oauthTokens(server.url, { login: browserLogin({ open: false, print: () => undefined }), store: memoryStore() })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const login = tokens.login()
  login.catch(() => undefined)
  for (const asked of [1, 2]) {
    await reached(() => silence.hits === asked)
    await vi.advanceTimersByTimeAsync(9_999)
    expect(silence.hits).toBe(asked)
    expect(await isPending(login)).toBe(true)
    await vi.advanceTimersByTimeAsync(1)
  }
  await expect(login).rejects.toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  expect(as.ledger).toMatchObject({ registrations: 0 })
})

test('T9: a discovery as a whole has 30 seconds, whatever it is reading by then', async () => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  const silence = as.fault('metadata', { kind: 'silence' })
  const limits: Array<{ ms: number; end: () => void }> = []
  // The limit of node's own clock cannot be moved, so the test holds it.
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const limit = new AbortController()
    limits.push({ ms, end: () => limit.abort(new DOMException('late', 'TimeoutError')) })
    return limit.signal
  })
  onTestFinished(() => timeout.mockRestore())
  const tokens = oauthTokens(server.url, { login: browserLogin({ open: false, print: () => undefined }), store: memoryStore() })
  const login = tokens.login()
  login.catch(() => undefined)
  await reached(() => silence.hits === 1)
  const [discovery, ...others] = limits.filter(({ ms }) => ms === 30_000)
  expect(others).toEqual([])
  discovery?.end()
  await expect(login).rejects.toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  expect(silence.hits).toBe(1)
  expect(as.ledger).toMatchObject({ registrations: 0 })
})

test('T9: a refresh that gets no answer is given up after 60 seconds and not before, and the tokens stay', async () => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  const store = memoryStore()
  await oauthTokens(server.url, {
    login: browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined }),
    store
  }).login()
  const before = await store.read({ kind: 'server', url: server.url.href })
  const silence = as.fault('token', { kind: 'silence' })
  server.expire()
  await using send = authFetch(withOAuth(server.url, { store }))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const call = send(server.url, { method: 'POST', body: '{}' })
  call.catch(() => undefined)
  await reached(() => silence.hits === 1)
  await vi.advanceTimersByTimeAsync(59_999)
  expect(await isPending(call)).toBe(true)
  await vi.advanceTimersByTimeAsync(1)
  await expect(call).rejects.toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  expect(silence.hits).toBe(1)
  expect(await store.read({ kind: 'server', url: server.url.href })).toEqual(before)
})
