import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type HeldRecord, McpAuthError, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { adoptWhileWaiting } from '../src/adopt-while-waiting.ts'
import { OAuthResponseError } from '../src/oauth-response-error.ts'
import { isUsable, type RefreshTask, refreshOnce, saveLater } from '../src/refresh.ts'
import type { TokenResponse } from '../src/token-response.ts'

const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
const nowMs = 1_700_000_000_000
const before: TokenRecord = {
  access_token: 'access-1',
  refresh_token: 'refresh-1',
  generation: 1,
  issuer: 'https://as.example.com',
  token_endpoint: 'https://as.example.com/token'
}
const theirs: TokenRecord = { ...before, access_token: 'theirs', refresh_token: 'their-refresh', generation: 2 }
const fresh: TokenResponse = { access_token: 'access-2', refresh_token: 'refresh-2', token_type: 'bearer' }

/** What the token endpoint does when it is asked: answers, or fails. */
type Ask = (world: World) => TokenResponse | Promise<TokenResponse>

/** One record in one store, and who is asked for another. */
interface World {
  store: TokenStore
  /** The refresh tokens that were sent, in their order. */
  sent: string[]
  stored(): Promise<TokenRecord | undefined>
  /** What a holder does who has taken the lock away. */
  put(record: TokenRecord): Promise<void>
  refresh(task?: Partial<RefreshTask>): ReturnType<typeof refreshOnce>
}

/** How a held record differs from one that works. */
type Fault = (held: HeldRecord) => Partial<HeldRecord>

async function world(ask: Ask, { record = before, fault }: { record?: TokenRecord | null; fault?: Fault } = {}): Promise<World> {
  const memory = memoryStore()
  const shelf: { latest: TokenRecord | undefined } = { latest: undefined }
  const store: TokenStore = {
    ...memory,
    transact: (name, work, options) =>
      memory.transact(
        name,
        (held) => {
          // A record that somebody writes who has no lock is there at once.
          const open: HeldRecord = {
            ...held,
            read: async () => {
              if (shelf.latest) await held.write(shelf.latest)
              shelf.latest = undefined
              return await held.read()
            }
          }
          return work({ ...open, ...fault?.(open) })
        },
        options
      )
  }
  if (record) await memory.transact(key, (held) => held.write(record), { deadlineMs: 1_000 })
  const sent: string[] = []
  const made: World = {
    store,
    sent,
    stored: () => memory.read(key),
    put: async (next) => {
      shelf.latest = next
    },
    refresh: (task = {}) =>
      refreshOnce({
        store,
        key,
        stale: { value: 'access-1' },
        now: () => nowMs,
        unsaved: () => undefined,
        mayRefresh: async () => true,
        send: async (_record, refreshToken) => {
          sent.push(refreshToken)
          return await ask(made)
        },
        ...task
      })
  }
  return made
}

const no =
  (status: number, error?: string, meanwhile?: TokenRecord): Ask =>
  async ({ put }) => {
    if (meanwhile) await put(meanwhile)
    throw new OAuthResponseError('the refresh', { status, error })
  }

/** A lock that is never free; it ends when its waiter leaves. */
async function neverFree(waiter: AbortSignal): Promise<never> {
  if (!waiter.aborted) await once(waiter, 'abort')
  throw waiter.reason
}

/** A clock that only the test moves; a later attempt to save is due every five seconds. */
function stoppedClock(): { untilSaved(saved: { length: number }): Promise<void>; next(): Promise<void> } {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const next = async (): Promise<void> => {
    await vi.advanceTimersByTimeAsync(5_000)
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  }
  return {
    next,
    untilSaved: async (saved) => {
      for (let attempt = 0; attempt < 10 && saved.length === 0; attempt += 1) await next()
    }
  }
}

/** The messages of one event, while a test runs. */
function events(name: string): unknown[] {
  const heard: unknown[] = []
  const listener = (message: unknown): void => void heard.push(message)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return heard
}

test('rule 5: a refreshed record is written before it is handed out', async () => {
  const scene = await world(() => fresh)
  const outcome = await scene.refresh()
  expect(outcome).toMatchObject({ kind: 'refreshed', saved: true, record: { access_token: 'access-2', generation: 2 } })
  expect(await scene.stored()).toMatchObject({ access_token: 'access-2', refresh_token: 'refresh-2', generation: 2 })
  expect(scene.sent).toEqual(['refresh-1'])
})

describe('asks nobody', () => {
  test.each<[string, TokenRecord | null, object]>([
    ['where nothing is stored', null, { kind: 'impossible', why: 'no-refresh-token', record: undefined }],
    ['without a refresh token', { access_token: 'access-1', generation: 1 }, { kind: 'impossible', why: 'no-refresh-token' }],
    ['after a logout, of which only the generation is left', { generation: 1 }, { kind: 'impossible', why: 'no-refresh-token' }],
    ['where the stored token is not the stale one', theirs, { kind: 'adopted', record: theirs }]
  ])('%s', async (_name, record, expected) => {
    const scene = await world(() => fresh, { record })
    expect(await scene.refresh()).toMatchObject(expected)
    expect(scene.sent).toEqual([])
  })

  test('T7: for a token that is there already: it is taken without the lock', async () => {
    const scene = await world(() => fresh, { record: theirs })
    const transact = (): never => expect.unreachable()
    expect(await scene.refresh({ store: { ...scene.store, transact } })).toMatchObject({ kind: 'adopted' })
  })

  test('T2: when the refresh token is not to be sent any more; then nothing is deleted', async () => {
    const scene = await world(() => fresh)
    const asked: TokenRecord[] = []
    const mayRefresh = async (record: TokenRecord): Promise<boolean> => {
      asked.push(record)
      return false
    }
    expect(await scene.refresh({ mayRefresh })).toMatchObject({ kind: 'impossible', why: 'moved', record: before })
    expect(asked).toEqual([expect.objectContaining(before)])
    expect(scene.sent).toEqual([])
    expect(await scene.stored()).toMatchObject(before)
  })

  test('T8: once the lock is lost: its refresh token may be in another’s hands', async () => {
    const lost = new AbortController()
    const scene = await world(() => fresh, { fault: () => ({ lost: lost.signal }) })
    const mayRefresh = async (): Promise<boolean> => {
      setImmediate(() => lost.abort(new Error('the lock was lost')))
      return true
    }
    await expect(scene.refresh({ mayRefresh })).rejects.toThrow('the lock was lost')
    expect(scene.sent).toEqual([])
  })

  test('T8: a lock that is lost while the request is prepared is noticed the moment before it is written, also before a second try', async () => {
    const lost = new AbortController()
    const scene = await world(() => fresh, { fault: () => ({ lost: lost.signal }) })
    const written: string[] = []
    const send = async (_record: TokenRecord, refreshToken: string, beforeSend: () => void): Promise<TokenResponse> => {
      beforeSend()
      written.push(refreshToken)
      lost.abort(new Error('the lock was lost'))
      throw Object.assign(new McpAuthError('MCPAUTH_NETWORK', 'dropped'), { cause: { code: 'ECONNRESET' } })
    }
    await expect(scene.refresh({ send })).rejects.toThrow('the lock was lost')
    expect(written).toEqual(['refresh-1'])
  })

  test('T7: for what somebody else wrote while this one waited for the lock', async () => {
    const scene = await world(() => fresh, { fault: () => ({ read: async () => theirs }) })
    expect(await scene.refresh()).toEqual({ kind: 'adopted', record: theirs })
    expect(scene.sent).toEqual([])
  })
})

test('rule 2: the refresh token that is sent is the one read under the lock, not one that was there before', async () => {
  const rotated = { ...before, refresh_token: 'rotated', generation: 5 }
  const scene = await world(() => fresh, { fault: () => ({ read: async () => rotated }) })
  expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', record: { generation: 6 } })
  expect(scene.sent).toEqual(['rotated'])
})

test('T7: who has the lock is not sent away by a token that appears meanwhile', async () => {
  const scene = await world(async ({ put }) => {
    await put(theirs)
    // As long as somebody else who waits takes for four looks.
    let others = 0
    await adoptWhileWaiting(async () => (++others > 4 ? 'enough' : undefined), neverFree)
    return fresh
  })
  const looks = vi.fn(scene.store.read)
  await scene.refresh({ store: { ...scene.store, read: looks } })
  expect(looks).toHaveBeenCalledTimes(1)
})

test('T7: who waits for the lock leaves the queue as soon as the holder has written', async () => {
  const scene = await world(() => fresh)
  const adopted = Promise.withResolvers<void>()
  const queued = Promise.withResolvers<void>()
  const taken = Promise.withResolvers<void>()
  const holder = scene.store.transact(
    key,
    async (held) => {
      taken.resolve()
      await queued.promise
      await held.write(theirs)
      await adopted.promise
    },
    { deadlineMs: 1_000 }
  )
  await taken.promise
  const waiting = scene.refresh()
  setImmediate(queued.resolve)
  expect(await waiting).toMatchObject({ kind: 'adopted', record: theirs })
  adopted.resolve()
  await holder
  expect(scene.sent).toEqual([])
})

test('the lock is waited for longer than its holder can take: a discovery of 30 s and two requests of 60 s', async () => {
  const scene = await world(() => fresh)
  const deadlines: number[] = []
  const store: TokenStore = {
    ...scene.store,
    transact: (name, work, options) => {
      deadlines.push(options.deadlineMs)
      return scene.store.transact(name, work, options)
    }
  }
  await scene.refresh({ store })
  const clock = stoppedClock()
  const saved: TokenRecord[] = []
  saveLater(
    store,
    key,
    () => theirs,
    (record) => saved.push(record)
  )
  await clock.untilSaved(saved)
  expect(deadlines).toHaveLength(2)
  for (const deadlineMs of deadlines) expect(deadlineMs).toBeGreaterThanOrEqual(150_000)
})

describe('a record that could not be written yet', () => {
  const unsaved = { ...before, access_token: 'access-2', refresh_token: 'refresh-2', generation: 2 }

  test('is taken in place of the older one in the store', async () => {
    const scene = await world(() => fresh)
    expect(await scene.refresh({ unsaved: () => unsaved })).toEqual({ kind: 'adopted', record: unsaved })
    expect(scene.sent).toEqual([])
  })

  test('has the refresh token that counts: the stored one is used up', async () => {
    const scene = await world(() => ({ ...fresh, access_token: 'access-3', refresh_token: 'refresh-3' }))
    await scene.refresh({ unsaved: () => unsaved, stale: { value: 'access-2' } })
    expect(scene.sent).toEqual(['refresh-2'])
    expect(await scene.stored()).toMatchObject({ access_token: 'access-3', refresh_token: 'refresh-3', generation: 3 })
  })

  test('whose refresh token is dead takes its used-up predecessor in the store with it', async () => {
    const scene = await world(no(400, 'invalid_grant'))
    const task = { unsaved: () => unsaved, stale: { value: 'access-2' } }
    expect(await scene.refresh(task)).toMatchObject({ kind: 'impossible', why: 'dead' })
    expect(scene.sent).toEqual(['refresh-2'])
    expect(await scene.stored()).not.toHaveProperty('refresh_token')
  })

  test('whose refresh token is refused leaves its used-up predecessor alone, and does not take it', async () => {
    const scene = await world(no(400, 'invalid_request'))
    const task = { unsaved: () => unsaved, stale: { value: 'access-2' } }
    expect(await scene.refresh(task)).toMatchObject({ kind: 'impossible', why: 'refused', record: unsaved })
    expect(await scene.stored()).toMatchObject(before)
  })

  test('T18: gives way to a login that somebody has written where nothing was stored', async () => {
    const login = { access_token: 'theirs' }
    const scene = await world(no(400, 'invalid_grant', login), { record: null })
    expect(await scene.refresh({ unsaved: () => unsaved, stale: { value: 'access-2' } })).toMatchObject({
      kind: 'adopted',
      record: login
    })
  })

  test.each([2, 3])('counts no more when the store has generation %d', async (generation) => {
    const scene = await world(() => fresh, { record: { ...theirs, generation } })
    const outcome = await scene.refresh({ unsaved: () => unsaved, stale: { value: 'access-1' } })
    expect(outcome).toMatchObject({ kind: 'adopted', record: { access_token: 'theirs' } })
  })

  test('is all there is where the store has nothing', async () => {
    const scene = await world(() => fresh, { record: null })
    expect(await scene.refresh({ unsaved: () => unsaved })).toEqual({ kind: 'adopted', record: unsaved })
  })
})

describe('T18: a holder whose lock was taken away while it asked', () => {
  test.each([2, 3])('keeps the newer grant of generation %d that somebody has written, and uses it', async (generation) => {
    const newer = { ...theirs, generation }
    const scene = await world(async ({ put }) => {
      await put(newer)
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'adopted', record: newer })
    expect(await scene.stored()).toMatchObject(newer)
  })

  test('keeps a newer grant of which only the refresh token is there: that is no logout', async () => {
    const { access_token: _none, ...newer } = theirs
    const scene = await world(async ({ put }) => {
      await put(newer)
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'adopted', record: newer })
    expect(await scene.stored()).toMatchObject(newer)
  })

  test.each<[string, TokenRecord]>([
    ['of an older generation', { ...theirs, generation: 1 }],
    ['without a generation', { access_token: 'theirs', refresh_token: 'their-refresh' }],
    ['with the refresh token that was sent', { ...theirs, refresh_token: 'refresh-1' }],
    ['without a refresh token', { access_token: 'theirs', generation: 2 }]
  ])('writes its answer over a record %s', async (_name, record) => {
    const scene = await world(async ({ put }) => {
      await put(record)
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'refreshed' })
    expect(await scene.stored()).toMatchObject({ access_token: 'access-2', refresh_token: 'refresh-2' })
  })

  test('writes its answer where the record is gone or cannot be read: it may be the last there is', async () => {
    for (const reread of [async () => undefined, () => Promise.reject(new Error('unreadable'))]) {
      let reads = 0
      const scene = await world(() => fresh, { fault: ({ read }) => ({ read: () => (++reads === 1 ? read() : reread()) }) })
      expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', saved: true })
      expect(await scene.stored()).toMatchObject({ refresh_token: 'refresh-2' })
    }
  })
})

describe('rule 6: a no', () => {
  test('invalid_grant clears the tokens and keeps the generation', async () => {
    const cleared = events('mcpauth:token:cleared')
    const scene = await world(no(400, 'invalid_grant'))
    const outcome = await scene.refresh()
    expect(outcome).toMatchObject({ kind: 'impossible', why: 'dead', error: { error: 'invalid_grant' } })
    expect(outcome.record).not.toHaveProperty('access_token')
    const left = await scene.stored()
    expect(left).toMatchObject({ generation: 1 })
    expect(left).not.toHaveProperty('refresh_token')
    expect(cleared).toEqual([{ server: key.url, generation: 1 }])
  })

  test.each<[string, TokenRecord]>([
    ['a new generation', theirs],
    ['another refresh token of the same generation', { ...before, access_token: 'theirs', refresh_token: 'their-refresh' }],
    ['the same refresh token in a new generation', { ...before, access_token: 'theirs', generation: 2 }]
  ])('T18: invalid_grant takes %s that somebody has written meanwhile, and deletes nothing', async (_name, meanwhile) => {
    for (const error of ['invalid_grant', 'invalid_request']) {
      const scene = await world(no(400, error, meanwhile))
      expect(await scene.refresh()).toMatchObject({ kind: 'adopted', record: meanwhile })
      expect(await scene.stored()).toMatchObject(meanwhile)
    }
  })

  test('T18: a refresh that ends after somebody has logged out does not bring the login back', async () => {
    const gone: TokenRecord = { generation: 2, issuer: 'https://as.example.com' }
    const scene = await world(async ({ put }) => {
      await put(gone)
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'impossible', why: 'no-refresh-token' })
    expect(await scene.stored()).not.toHaveProperty('access_token')
  })

  test('T18: a tombstone of this very generation, which a no to another process has left, does not stop a new token', async () => {
    const scene = await world(async ({ put }) => {
      await put({ generation: 1, issuer: 'https://as.example.com' })
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', saved: true })
    expect(await scene.stored()).toMatchObject({ access_token: 'access-2', generation: 2 })
  })

  test('T18: invalid_grant when somebody has logged out meanwhile is no new grant', async () => {
    const scene = await world(no(400, 'invalid_grant', { generation: 1 }))
    expect(await scene.refresh()).toMatchObject({ kind: 'impossible', why: 'dead' })
  })

  test('invalid_grant for a record that is gone leaves nothing', async () => {
    let reads = 0
    const scene = await world(no(400, 'invalid_grant'), {
      fault: ({ read }) => ({ read: async () => (++reads === 1 ? await read() : undefined) })
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'impossible', why: 'dead', record: undefined })
  })

  test.each(['invalid_client', 'invalid_request', 'unauthorized_client', 'access_denied'])('%s deletes nothing', async (error) => {
    const cleared = events('mcpauth:token:cleared')
    const scene = await world(no(400, error))
    expect(await scene.refresh()).toMatchObject({ kind: 'impossible', why: 'refused', record: before, error: { error } })
    expect(await scene.stored()).toMatchObject(before)
    expect(cleared).toEqual([])
  })

  test.each<[number, string | undefined]>([
    [429, 'invalid_grant'],
    [500, 'invalid_grant'],
    [503, undefined],
    [400, undefined],
    [400, 'temporarily_unavailable'],
    [400, 'slow_down'],
    [400, 'server_error']
  ])('T9: status %d with the error %s is no no: it is thrown, deletes nothing and is not asked again', async (status, error) => {
    const scene = await world(no(status, error))
    await expect(scene.refresh()).rejects.toMatchObject({ status })
    expect(await scene.stored()).toMatchObject(before)
    expect(scene.sent).toHaveLength(1)
  })

  test('a known server’s word counts only where the refresh token was sent to that server', async () => {
    for (const [token_endpoint, why] of [
      ['https://github.com/login/oauth/access_token', 'dead'],
      ['https://as.example.com/token', 'refused']
    ] as const) {
      const scene = await world(no(200, 'bad_refresh_token'), { record: { ...before, token_endpoint } })
      expect(await scene.refresh()).toMatchObject({ kind: 'impossible', why })
    }
  })
})

const network = (code: string): McpAuthError => new McpAuthError('MCPAUTH_NETWORK', 'no answer', { cause: { code } })

describe('rule 7: a broken connection', () => {
  test('is tried once more with the same refresh token, and what that brings counts', async () => {
    let asked = 0
    const scene = await world(() => {
      asked += 1
      if (asked === 1) throw network('UND_ERR_SOCKET')
      return fresh
    })
    expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', saved: true })
    expect(scene.sent).toEqual(['refresh-1', 'refresh-1'])
  })

  test('that breaks again is thrown, and deletes nothing', async () => {
    const scene = await world(() => {
      throw network('ECONNRESET')
    })
    await expect(scene.refresh()).rejects.toMatchObject({ code: 'MCPAUTH_NETWORK' })
    expect(scene.sent).toHaveLength(2)
    expect(await scene.stored()).toMatchObject(before)
  })

  test.each([
    ['that was never made', network('ECONNREFUSED')],
    ['that took too long', new McpAuthError('MCPAUTH_TIMEOUT', 'late')],
    ['that is none, whatever it holds,', Object.assign(new Error('a bug'), { status: 400, error: 'invalid_grant' })]
  ])('%s is not tried again', async (_name, error) => {
    const scene = await world(() => {
      throw error
    })
    await expect(scene.refresh()).rejects.toBe(error)
    expect(scene.sent).toHaveLength(1)
    expect(await scene.stored()).toMatchObject(before)
  })
})

describe('T8: a write that fails', () => {
  /** A store that takes a record at the given attempt. */
  async function failing(until: number, error: unknown = Object.assign(new Error('disk full'), { code: 'ENOSPC' })) {
    let attempts = 0
    const scene = await world(() => fresh, {
      fault: ({ write }) => ({
        write: (record) => {
          attempts += 1
          return attempts < until ? Promise.reject(error) : write(record)
        }
      })
    })
    const warnings = events('mcpauth:store:warning')
    return { ...scene, warnings, attempts: () => attempts }
  }

  test.each([1, 2, 3])('is repeated; the attempt that works is number %d', async (until) => {
    const scene = await failing(until)
    expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', saved: true })
    expect(await scene.stored()).toMatchObject({ refresh_token: 'refresh-2' })
    expect({ attempts: scene.attempts(), warnings: scene.warnings }).toEqual({ attempts: until, warnings: [] })
  })

  test.each([
    ['ENOSPC', undefined],
    ['MCPAUTH_STORE_UNAVAILABLE', new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'no')]
  ])('three times keeps the record in memory, with a warning that names %s', async (code, error) => {
    const scene = await failing(4, error)
    expect(await scene.refresh()).toMatchObject({ kind: 'refreshed', saved: false, record: { refresh_token: 'refresh-2' } })
    expect(scene.attempts()).toBe(3)
    expect(scene.warnings).toEqual([expect.objectContaining({ code })])
    expect(await scene.stored()).toMatchObject(before)
  })
})

describe('saveLater', () => {
  const unsaved = { ...before, access_token: 'access-2', refresh_token: 'refresh-2', generation: 2 }

  test('writes the record as soon as the store takes it, and says so once', async () => {
    let full = 3
    const scene = await world(() => fresh, {
      fault: ({ write }) => ({ write: (record) => (--full > 0 ? Promise.reject(new Error('disk full')) : write(record)) })
    })
    const saved: TokenRecord[] = []
    const clock = stoppedClock()
    saveLater(
      scene.store,
      key,
      () => unsaved,
      (record) => saved.push(record)
    )
    await clock.next()
    expect(saved).toEqual([])
    expect(await scene.stored()).toMatchObject(before)
    await clock.untilSaved(saved)
    await clock.next()
    expect(saved).toEqual([unsaved])
    expect(await scene.stored()).toMatchObject(unsaved)
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each<[string, TokenRecord]>([
    ['the same generation', { ...theirs, generation: 2 }],
    ['a newer one', { ...theirs, generation: 3 }]
  ])('T18: never overwrites what the store has by then, when it is %s', async (_name, record) => {
    const scene = await world(() => fresh, { record })
    const saved: TokenRecord[] = []
    const clock = stoppedClock()
    saveLater(
      scene.store,
      key,
      () => unsaved,
      (written) => saved.push(written)
    )
    await clock.untilSaved(saved)
    expect(saved).toEqual([unsaved])
    expect(await scene.stored()).toMatchObject(record)
  })

  test.each<[string, TokenRecord | null]>([
    ['nothing', null],
    ['a record without a generation', { access_token: 'old', refresh_token: 'used-up' }]
  ])('writes over %s', async (_name, record) => {
    const scene = await world(() => fresh, { record })
    const saved: TokenRecord[] = []
    const clock = stoppedClock()
    saveLater(
      scene.store,
      key,
      () => unsaved,
      (written) => saved.push(written)
    )
    await clock.untilSaved(saved)
    expect(await scene.stored()).toMatchObject(unsaved)
  })

  test('gives up when there is nothing left to save', async () => {
    const scene = await world(() => fresh)
    const clock = stoppedClock()
    let locks = 0
    saveLater(
      {
        ...scene.store,
        transact: (...given) => {
          locks += 1
          return scene.store.transact(...given)
        }
      },
      key,
      () => undefined,
      () => expect.unreachable()
    )
    await clock.next()
    expect(locks).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('isUsable', () => {
  const stale = { value: 'access-1' }
  test.each<[string, TokenRecord, RefreshTask['stale'], boolean]>([
    ['a token that is not the stale one', { access_token: 'other' }, stale, true],
    ['a token where none is stale', { access_token: 'access-1' }, undefined, true],
    ['the stale token', { access_token: 'access-1', generation: 9 }, stale, false],
    ['no token', { refresh_token: 'refresh-1' }, undefined, false],
    ['an empty token', { access_token: '' }, undefined, false],
    ['a token that ends in a second', { access_token: 'other', expires_at_unix: nowMs / 1000 + 1 }, stale, true],
    ['a token that ends now', { access_token: 'other', expires_at_unix: nowMs / 1000 }, stale, false],
    ['a token that is over', { access_token: 'other', expires_at_unix: nowMs / 1000 - 1 }, stale, false]
  ])('%s', (_name, record, staleToken, expected) => {
    expect(isUsable(record, { stale: staleToken, now: () => nowMs })).toBe(expected)
  })
})
