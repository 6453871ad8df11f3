import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { AccessToken, TokenRecord, TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { OAuthResponseError } from '../src/oauth-response-error.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'
import { refresher } from '../src/refresher.ts'
import type { TokenResponse } from '../src/token-response.ts'
import { fullStore } from './full-store.ts'
import { stoppedTimers } from './stopped-timers.ts'

const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
const before: TokenRecord = { access_token: 'access-1', refresh_token: 'refresh-1', generation: 1 }
const stale = (generation: number): AccessToken => ({
  value: `access-${generation}`,
  scheme: 'Bearer',
  generation,
  origin: 'stored'
})
const always = async (): Promise<boolean> => true

type Send = (refreshToken: string) => Promise<TokenResponse>

/** Answers with the next numbers, whatever was sent. */
function rotating(): Send {
  let generation = 1
  return async () => {
    generation += 1
    return { access_token: `access-${generation}`, refresh_token: `refresh-${generation}`, token_type: 'bearer' }
  }
}

const refusing =
  (status: number, error: string | undefined, retryAfterMs?: number): Send =>
  () =>
    Promise.reject(new OAuthResponseError('the refresh', { status, error, retryAfterMs }))

interface Given {
  send?: Send
  store?: TokenStore
  record?: TokenRecord
  options?: OAuthOptions
}

async function world({ send = rotating(), store = memoryStore(), record = before, options = {} }: Given = {}) {
  const clock = { ms: 1_700_000_000_000 }
  await store.transact(key, (held) => held.write(record), { deadlineMs: 1_000 })
  const sent: string[] = []
  const settings = checkOptions(key.url, { store, now: () => clock.ms, ...options })
  const made = refresher(settings, {
    send: (_record, refreshToken) => {
      sent.push(refreshToken)
      return send(refreshToken)
    }
  })
  return { ...made, clock, sent, store, settings }
}

/** A refresher with a record that it could not write. */
async function withUnsaved(send?: Send) {
  const store = fullStore()
  const scene = await world(send === undefined ? { store } : { store, send })
  store.full = true
  await scene.refresh(stale(1), always)
  return { ...scene, store }
}

function events(name: string): unknown[] {
  const heard: unknown[] = []
  const listener = (message: unknown): void => void heard.push(message)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return heard
}

test('T7: all who meet the same stale token share one refresh, and it is told once', async () => {
  const told = events('mcpauth:token:refreshed')
  const scene = await world()
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => scene.refresh(stale(1), always)))
  expect(new Set(outcomes).size).toBe(1)
  expect(scene.sent).toEqual(['refresh-1'])
  expect(told).toEqual([{ server: key.url, generation: 2 }])
})

test.each<[string, AccessToken | undefined, AccessToken | undefined]>([
  ['two generations', stale(1), stale(2)],
  ['no token and the first', undefined, stale(0)]
])('%s are no one flight: each is judged by its own', async (_name, one, two) => {
  const adopted = events('mcpauth:token:adopted')
  const scene = await world({ record: { ...before, access_token: 'there-already', generation: 5 } })
  const outcomes = await Promise.all([scene.refresh(one, always), scene.refresh(two, always)])
  expect(outcomes.map(({ kind }) => kind)).toEqual(['adopted', 'adopted'])
  expect(adopted).toEqual([
    { server: key.url, generation: 5 },
    { server: key.url, generation: 5 }
  ])
  // What somebody else has written needs no saving.
  expect(scene.unsaved()).toBeUndefined()
})

test('without anything stored there is nothing to refresh, and nothing to tell', async () => {
  const scene = await world()
  await scene.store.transact(key, (held) => held.clear(), { deadlineMs: 1_000 })
  const empty = refresher(checkOptions(key.url, { store: memoryStore() }), {
    send: () => expect.unreachable()
  })
  const told = events('mcpauth:token:impossible')
  expect(await empty.refresh(undefined, always)).toEqual({ kind: 'impossible', why: 'no-refresh-token', record: undefined })
  expect(await scene.refresh(stale(1), always)).toMatchObject({ kind: 'impossible', why: 'no-refresh-token' })
  expect(told).toEqual([])
})

test('a refreshed record that is written leaves nothing to do later', async () => {
  stoppedTimers()
  const scene = await world()
  expect(await scene.refresh(stale(1), always)).toMatchObject({ kind: 'refreshed', saved: true })
  expect(vi.getTimerCount()).toBe(0)
})

describe('T9: a server that asks to be left alone', () => {
  const busy = (retryAfterMs?: number): Send => refusing(503, undefined, retryAfterMs)

  test('is not asked again until its time is over', async () => {
    const scene = await world({ send: busy(30_000) })
    const asking = () => scene.refresh(stale(1), always)
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    scene.clock.ms += 29_999
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(1)
    scene.clock.ms += 1
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(2)
  })

  test('is asked again after five minutes, whatever it says', async () => {
    const scene = await world({ send: busy(86_400_000) })
    await expect(scene.refresh(stale(1), always)).rejects.toMatchObject({ status: 503 })
    scene.clock.ms += 300_000
    await expect(scene.refresh(stale(1), always)).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(2)
  })

  test('T17: is asked again when the clock is set back, and not only when it has caught up', async () => {
    const scene = await world({ send: busy(30_000) })
    const asking = () => scene.refresh(stale(1), always)
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    scene.clock.ms -= 29_999
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(1)
    scene.clock.ms -= 1
    await expect(asking()).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(2)
  })

  test('without naming a time is asked again at once', async () => {
    const scene = await world({ send: busy() })
    for (let time = 0; time < 3; time += 1) await expect(scene.refresh(stale(1), always)).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(3)
  })

  test('is asked again for a new grant', async () => {
    const scene = await world({ send: busy(30_000) })
    await expect(scene.refresh(stale(1), always)).rejects.toMatchObject({ status: 503 })
    scene.reset()
    await expect(scene.refresh(stale(1), always)).rejects.toMatchObject({ status: 503 })
    expect(scene.sent).toHaveLength(2)
  })
})

describe('T19: a refresh token that its server refuses without saying that it is dead', () => {
  test('is worn out with the second no', async () => {
    const scene = await world({ send: refusing(400, 'invalid_request') })
    for (const worn of [false, true]) {
      await scene.refresh(stale(1), always)
      expect(scene.isWornOut('refresh-1')).toBe(worn)
    }
    expect(scene.isWornOut('another')).toBe(false)
    expect(scene.isWornOut(undefined)).toBe(false)
    scene.reset()
    expect(scene.isWornOut('refresh-1')).toBe(false)
  })

  test('is counted by itself: a no to another one is not its own', async () => {
    const scene = await world({ send: refusing(400, 'invalid_request') })
    await scene.refresh(stale(1), always)
    await scene.store.transact(key, (held) => held.write({ ...before, refresh_token: 'another' }), { deadlineMs: 1_000 })
    await scene.refresh(stale(1), always)
    expect([scene.isWornOut('refresh-1'), scene.isWornOut('another')]).toEqual([false, false])
  })

  test('is not worn out by what was never sent, or by a clear word', async () => {
    const moved = await world()
    const dead = await world({ send: refusing(400, 'invalid_grant') })
    const empty = await world({ record: { access_token: 'access-1', generation: 1 } })
    for (let time = 0; time < 3; time += 1) {
      expect(await moved.refresh(stale(1), async () => false)).toMatchObject({ why: 'moved' })
      await dead.refresh(stale(1), always)
      expect(await empty.refresh(stale(1), always)).toMatchObject({ why: 'no-refresh-token' })
    }
    expect(moved.isWornOut('refresh-1')).toBe(false)
    expect(dead.isWornOut('refresh-1')).toBe(false)
    expect(empty.isWornOut(undefined)).toBe(false)
  })
})

describe('T8: a refreshed record that cannot be written', () => {
  test('is what the next refresh starts from', async () => {
    const scene = await withUnsaved()
    expect(scene.unsaved()).toMatchObject({ generation: 2, refresh_token: 'refresh-2' })
    await scene.refresh(stale(2), always)
    expect(scene.sent).toEqual(['refresh-1', 'refresh-2'])
    expect(scene.unsaved()).toMatchObject({ generation: 3 })
  })

  test('is written later, and is then the store’s affair', async () => {
    const timers = stoppedTimers()
    const scene = await withUnsaved()
    await timers.next()
    expect(scene.unsaved()).toMatchObject({ generation: 2 })
    scene.store.full = false
    await timers.next()
    expect(scene.unsaved()).toBeUndefined()
    expect(await scene.store.read(key)).toMatchObject({ generation: 2, refresh_token: 'refresh-2' })
  })

  test('counts no more once a later one is written', async () => {
    const scene = await withUnsaved()
    scene.store.full = false
    await scene.refresh(stale(2), always)
    expect(scene.unsaved()).toBeUndefined()
    expect(await scene.store.read(key)).toMatchObject({ generation: 3 })
  })

  test('is not forgotten when an older one has been written meanwhile', async () => {
    const timers = stoppedTimers()
    const scene = await withUnsaved()
    const written = Promise.withResolvers<void>()
    const late = Promise.withResolvers<void>()
    const transact = scene.settings.store.transact
    scene.settings.store.transact = async (...given) => {
      scene.store.full = false
      const result = await transact(...given)
      scene.store.full = true
      written.resolve()
      await late.promise
      return result
    }
    await timers.next()
    await written.promise
    scene.settings.store.transact = transact
    await scene.refresh(stale(2), always)
    late.resolve()
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
    expect(scene.unsaved()).toMatchObject({ generation: 3 })
  })

  test('is forgotten when its refresh token is dead, and not when it is only refused', async () => {
    for (const [error, left] of [
      ['invalid_grant', undefined],
      ['invalid_request', expect.objectContaining({ generation: 2 })]
    ] as const) {
      const first = rotating()
      const scene = await withUnsaved((refreshToken) =>
        refreshToken === 'refresh-1' ? first(refreshToken) : refusing(400, error)(refreshToken)
      )
      await scene.refresh(stale(2), always)
      expect(scene.unsaved()).toEqual(left)
    }
  })

  test('is forgotten for a new grant, and never written over it', async () => {
    const timers = stoppedTimers()
    const scene = await withUnsaved()
    scene.reset()
    scene.store.full = false
    await timers.next()
    expect(scene.unsaved()).toBeUndefined()
    expect(await scene.store.read(key)).toMatchObject({ generation: 1 })
  })
})

describe('refreshIsolation', () => {
  /** A record without a refresh token shows who looks at it: only this process takes the lock for that. */
  async function locksOf(options: OAuthOptions, inMemory: boolean): Promise<number> {
    const store = Object.assign(memoryStore(), { root: '/nowhere' })
    const scene = await world({ store, options, record: { access_token: 'access-1', generation: 1 } })
    const { transact } = scene.settings.store
    let locks = 0
    scene.settings.store.isInMemory = async () => inMemory
    scene.settings.store.transact = (...given) => {
      locks += 1
      return transact(...given)
    }
    await scene.refresh(stale(1), always)
    return locks
  }

  test('leaves the lock to the helper process', async () => {
    expect(await locksOf({ refreshIsolation: 'process' }, false)).toBe(0)
  })

  test('keeps here what only this process can see', async () => {
    expect(await locksOf({ refreshIsolation: 'process' }, true)).toBe(1)
  })

  test('is off by default', async () => {
    expect(await locksOf({}, false)).toBe(1)
    expect(await locksOf({ refreshIsolation: 'none' }, false)).toBe(1)
  })
})
