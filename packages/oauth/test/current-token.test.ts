import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type AccessToken, McpAuthError, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { generateDpopJwk } from '../src/dpop.ts'
import { loadAsking } from '../src/load-asking.ts'
import type { OAuthOptions } from '../src/options.ts'
import { loadProtocol } from '../src/protocol.ts'
import { type PaperAnswer, type PaperSource, paper, paperGrant, paperRecord, paperSource, type RecordChange } from './paper-servers.ts'

const startMs = 1_700_000_000_000
/** As a record says when its token ends. */
const inSeconds = (seconds: number): number => startMs / 1000 + seconds
/** A record whose token lives for ten minutes from the start on: it is renewed a minute ahead. */
const tenMinutes = (more: RecordChange = {}): TokenRecord => paperRecord({ expires_at_unix: inSeconds(600), lifetime: 600, ...more })
const isRefresh = (form: URLSearchParams): boolean => form.get('grant_type') === 'refresh_token'
const no = (status: number, error?: string, headers = {}): Response => Response.json({ error }, { status, headers })

// What is loaded when it is first needed is there, so that a background task takes only turns of the event loop.
beforeAll(() => Promise.all([loadAsking(), loadProtocol()]))

/** What a background task of the source needs to be over. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
}

async function sourceWith(record: TokenRecord | undefined, ...given: Parameters<typeof paperSource>): Promise<PaperSource> {
  const source = paperSource(...given)
  if (record) await source.put(record)
  return source
}

/** The same, its token in use and its counters at nought. */
async function usedSource(record: TokenRecord, ...given: Parameters<typeof paperSource>): Promise<PaperSource> {
  const source = await sourceWith(record, ...given)
  await source.tokens.current()
  Object.assign(source.counts, { reads: 0, locks: 0 })
  return source
}

describe('the first read', () => {
  test('is shared by all requests of a start, and is the only one', async () => {
    const { tokens, counts } = await sourceWith(tenMinutes())
    const all = await Promise.all(Array.from({ length: 10 }, () => tokens.current()))
    expect(new Set(all).size).toBe(1)
    expect(all[0]).toMatchObject({ value: 'stored-access', origin: 'stored', generation: 1 })
    expect(tokens.current()).toBe(all[0])
    expect(counts).toEqual({ reads: 1, locks: 0 })
  })

  test('that finds nothing is not made again', async () => {
    const { tokens, counts } = paperSource()
    expect(await tokens.current()).toBeUndefined()
    expect(tokens.current()).toBeUndefined()
    expect(counts.reads).toBe(1)
  })

  test('that fails is made again by the next request', async () => {
    const store = memoryStore()
    let broken = true
    const { tokens, put } = paperSource({
      store: { ...store, read: (key) => (broken ? Promise.reject(new Error('the disk is away')) : store.read(key)) }
    })
    await put(tenMinutes())
    await expect(tokens.current()).rejects.toThrow('the disk is away')
    broken = false
    expect(await tokens.current()).toMatchObject({ value: 'stored-access' })
  })

  test('that finds what a logout has left finds nothing', async () => {
    const { tokens } = await sourceWith({ version: 1, generation: 7 })
    expect(await tokens.current()).toBeUndefined()
  })

  test('sends what is stored whichever client the options name: only a refresh is that client’s', async () => {
    const { tokens } = await sourceWith(tenMinutes(), { client: { clientId: 'another' } })
    expect(await tokens.current()).toMatchObject({ value: 'stored-access' })
  })

  test.each<[string, OAuthOptions, string | undefined]>([
    ['for the resource that the options name', { resource: paper.mcp }, 'stored-access'],
    ['for another resource', { resource: 'https://mcp.example.com' }, undefined],
    ['from the issuer that the options name', { client: { clientId: 'mine', issuer: paper.issuer } }, 'stored-access'],
    ['from another issuer', { client: { clientId: 'mine', issuer: 'https://other.example' } }, undefined]
  ])('N26: of a token %s sends %o: %s', async (_name, options, value) => {
    const { tokens } = await sourceWith(tenMinutes(), options)
    expect((await tokens.current())?.value).toBe(value)
  })

  test('N26: what a login for another resource has left is not taken for the token of this one', async () => {
    const { tokens, refuse, tokenRequests } = await sourceWith(tenMinutes(), { resource: 'https://mcp.example.com' })
    expect(await tokens.current()).toBeUndefined()
    expect(await refuse(undefined)).toMatchObject({ generation: 2 })
    expect(tokenRequests().map((form) => [form.get('grant_type'), form.get('resource')])).toEqual([
      ['authorization_code', 'https://mcp.example.com']
    ])
  })

  test.each<[string, string | undefined, string | undefined]>([
    ['finds one of that secret and sends it', 'seed-1', 'stored-access'],
    ['leaves one of another secret alone', 'seed-0', undefined],
    ['leaves one of nobody knows which alone', undefined, undefined]
  ])('T2: where tokens come from a secret, %s', async (_name, seed, value) => {
    const grant = paperGrant(async () => ({}), { seed: async () => 'seed-1' })
    const { tokens } = await sourceWith(tenMinutes(seed === undefined ? {} : { seed }), { grant })
    expect((await tokens.current())?.value).toBe(value)
    expect(grant.times).toBe(0)
  })

  /** A store whose next read is answered only when the test says so, with what was there when it was asked. */
  function slowRead(): { store: TokenStore; slow: () => void; answer: () => void } {
    const store = memoryStore()
    const answered = Promise.withResolvers<void>()
    let slow = false
    return {
      store: {
        ...store,
        read: async (key) => {
          const record = await store.read(key)
          if (slow && key.kind === 'server') {
            slow = false
            await answered.promise
          }
          return record
        }
      },
      slow: () => {
        slow = true
      },
      answer: answered.resolve
    }
  }

  test('T18: that a logout overtakes does not bring the token back', async () => {
    const { store, slow, answer } = slowRead()
    const { tokens } = await sourceWith(tenMinutes(), { store })
    slow()
    const first = tokens.current()
    await tokens.logout()
    answer()
    expect(await first).toBeUndefined()
    expect(tokens.current()).toBeUndefined()
  })

  test('that a login overtakes does not bring the old token back', async () => {
    const { store, slow, answer } = slowRead()
    const { tokens } = await sourceWith(tenMinutes(), { store })
    slow()
    const first = tokens.current()
    await tokens.login()
    answer()
    expect(await first).toMatchObject({ generation: 2 })
    expect(tokens.current()).toMatchObject({ generation: 2 })
  })

  test('of a good token is followed, a second later, by loading what a refresh needs; without one there is nothing to load', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    await paperSource().tokens.current()
    expect(vi.getTimerCount()).toBe(0)
    const { tokens } = await sourceWith(tenMinutes())
    await tokens.current()
    expect(vi.getTimerCount()).toBe(1)
  })
})

describe('ahead of its end a token', () => {
  test('is renewed in the background from a minute before on, to the millisecond, and used meanwhile', async () => {
    const source = await usedSource(tenMinutes())
    const { tokens, clock, tokenRequests } = source
    const first = tokens.current()
    clock.ms = startMs + 539_999
    expect(tokens.current()).toBe(first)
    await settled()
    expect(tokenRequests()).toHaveLength(0)
    clock.ms += 1
    expect(tokens.current()).toBe(first)
    await settled()
    expect(tokens.current()).toMatchObject({ origin: 'refreshed', generation: 2 })
    expect(tokenRequests().map((form) => form.get('refresh_token'))).toEqual(['stored-refresh'])
    // Without discovery: nothing was asked but the token endpoint.
    expect(source.asked).toHaveLength(1)
  })

  test('is renewed as far ahead as the option says', async () => {
    const { tokens, clock, tokenRequests } = await usedSource(tenMinutes(), { refreshAheadSeconds: 10 })
    for (const [ms, requests] of [
      [589_999, 0],
      [590_000, 1]
    ] as const) {
      clock.ms = startMs + ms
      await tokens.current()
      await settled()
      expect(tokenRequests()).toHaveLength(requests)
    }
  })

  test('T9: is tried again only ten seconds after a failure, to the millisecond', async () => {
    const { tokens, clock, counts, tokenRequests } = await usedSource(tenMinutes(), {}, ({ form }) =>
      isRefresh(form) ? no(500) : undefined
    )
    const first = tokens.current()
    for (const [ms, attempts] of [
      [550_000, 1],
      [550_000, 1],
      [559_999, 1],
      [560_000, 2]
    ] as const) {
      clock.ms = startMs + ms
      expect(tokens.current()).toBe(first)
      await settled()
      expect({ locks: counts.locks, requests: tokenRequests().length }).toEqual({ locks: attempts, requests: attempts })
    }
  })

  test('T13: whose renewal fails is told of with the code of the failure and no secret', async () => {
    const told: unknown[] = []
    const listener = (message: unknown): void => void told.push(message)
    subscribe('mcpauth:request:refused', listener)
    onTestFinished(() => void unsubscribe('mcpauth:request:refused', listener))
    const { tokens, clock } = await usedSource(tenMinutes(), {}, ({ form }) => (isRefresh(form) ? no(500) : undefined))
    clock.ms = startMs + 550_000
    await tokens.current()
    await settled()
    expect(told).toEqual([expect.objectContaining({ server: paper.mcp, code: 'MCPAUTH_OAUTH_RESPONSE' })])
    expect(JSON.stringify(told)).not.toMatch(/stored-(access|refresh)/)
  })

  test('is tried again only ten seconds later, too, where it was found that it must not be refreshed', async () => {
    const { tokens, clock, counts } = await usedSource(tenMinutes(), { client: { clientId: 'another' } })
    for (let request = 0; request < 3; request += 1) {
      clock.ms = startMs + 550_000
      expect(tokens.current()).toMatchObject({ value: 'stored-access' })
      await settled()
    }
    expect(counts.locks).toBe(1)
  })

  test('is renewed at once when the one before it was, however short they live', async () => {
    const { tokens, clock, tokenRequests } = await usedSource(
      paperRecord({ expires_at_unix: inSeconds(5), lifetime: 5 }),
      {},
      ({ form }) => (isRefresh(form) ? Response.json({ access_token: `short-${form.get('refresh_token')}`, expires_in: 5 }) : undefined)
    )
    for (let refresh = 1; refresh <= 3; refresh += 1) {
      clock.ms += 4_000
      await tokens.current()
      await settled()
      expect(tokenRequests()).toHaveLength(refresh)
    }
  })

  test('goes on being used when its refresh is refused, which is not repeated for ever', async () => {
    const { tokens, clock, counts } = await usedSource(tenMinutes(), {}, ({ form }) =>
      isRefresh(form) ? no(400, 'access_denied') : undefined
    )
    for (let attempt = 0; attempt < 4; attempt += 1) {
      clock.ms = startMs + 540_000 + attempt * 10_000
      expect(tokens.current()).toMatchObject({ value: 'stored-access' })
      await settled()
    }
    expect(counts.locks).toBe(2)
  })

  test.each<[string, string | undefined]>([
    ['', undefined],
    [', and a grant from a secret is not asked for another in the background', 'mine']
  ])('rule 6: is used no more when its refresh shows that the grant is dead%s', async (_name, seed) => {
    const grant = paperGrant(async () => ({}), { seed: async () => 'mine' })
    const { tokens, clock } = await usedSource(tenMinutes({ seed }), seed === undefined ? {} : { grant }, ({ form }) =>
      isRefresh(form) ? no(400, 'invalid_grant') : undefined
    )
    clock.ms = startMs + 540_000
    await tokens.current()
    await settled()
    expect(tokens.current()).toBeUndefined()
    expect(grant.times).toBe(0)
  })

  test('is replaced by the one that another process has got, without asking anybody', async () => {
    const { tokens, clock, put, asked } = await usedSource(tenMinutes())
    await put(tenMinutes({ access_token: 'theirs', generation: 2, expires_at_unix: inSeconds(1_200) }))
    clock.ms = startMs + 540_000
    await tokens.current()
    await settled()
    expect(tokens.current()).toMatchObject({ value: 'theirs', generation: 2, origin: 'stored' })
    expect(asked).toHaveLength(0)
  })

  test.each([true, false])(
    'without a refresh token is got anew by a grant that needs nobody (with metadata of its resource: %s)',
    async (modern) => {
      const grant = paperGrant(async () => ({}), { clientOptional: true })
      const source = await usedSource(tenMinutes({ refresh_token: undefined }), { grant })
      if (!modern) {
        for (const url of Object.keys(source.documents)) delete source.documents[url]
      }
      source.clock.ms = startMs + 539_999
      await source.tokens.current()
      await settled()
      expect(grant.times).toBe(0)
      source.clock.ms += 1
      await source.tokens.current()
      await settled()
      expect(source.tokens.current()).toMatchObject({ value: 'granted-1', origin: 'refreshed', generation: 2 })
    }
  )

  test('T2: is not replaced by one of another secret that another process has got: its own secret is asked', async () => {
    const grant = paperGrant(async () => ({}), { seed: async () => 'mine' })
    const source = await usedSource(tenMinutes({ seed: 'mine' }), { grant })
    await source.put(tenMinutes({ access_token: 'theirs', seed: 'another', generation: 2, expires_at_unix: inSeconds(1_200) }))
    source.clock.ms = startMs + 540_000
    await source.tokens.current()
    await settled()
    expect(source.tokens.current()).toMatchObject({ value: 'granted-1', generation: 3 })
  })

  test('is not taken for another when a grant finds what another process has got', async () => {
    const grant = paperGrant(async () => ({}))
    const source = await usedSource(tenMinutes({ refresh_token: undefined }), { grant })
    await source.put(tenMinutes({ refresh_token: undefined, access_token: 'theirs', generation: 2, expires_at_unix: inSeconds(1_200) }))
    source.clock.ms = startMs + 540_000
    await source.tokens.current()
    await settled()
    expect(source.tokens.current()).toMatchObject({ value: 'theirs', origin: 'stored' })
    expect(grant.times).toBe(0)
  })
})

describe('a token that is over', () => {
  test('is renewed before it is sent, from its very end on, once for all', async () => {
    const { tokens, clock, tokenRequests } = await usedSource(tenMinutes({ lifetime: 0 }))
    clock.ms = startMs + 599_999
    expect(tokens.current()).toMatchObject({ generation: 1 })
    clock.ms += 1
    const renewed = await Promise.all(Array.from({ length: 10 }, () => tokens.current()))
    expect(renewed).toEqual(Array(10).fill(expect.objectContaining({ generation: 2, origin: 'refreshed' })))
    expect(tokenRequests()).toHaveLength(1)
  })

  test.each<[string, RecordChange, Parameters<typeof paperSource>[0]]>([
    ['nothing to renew it with', { refresh_token: undefined }, {}],
    ['only a person to ask', { refresh_token: undefined }, { grant: paperGrant(async () => ({}), { interactive: true }) }]
  ])('and has %s is left to the server’s challenge, at once', async (_name, record, options) => {
    const { tokens, clock, counts } = await usedSource(tenMinutes(record), options)
    clock.ms = startMs + 600_000
    expect(tokens.current()).toBeUndefined()
    expect(counts).toEqual({ reads: 0, locks: 0 })
  })

  test.each([[false], [undefined]])('without a refresh token is got anew by a grant (interactive: %s)', async (interactive) => {
    const grant = paperGrant(async () => ({}), interactive === undefined ? {} : { interactive })
    const { tokens, clock } = await usedSource(tenMinutes({ refresh_token: undefined }), { grant })
    clock.ms = startMs + 600_000
    expect(await tokens.current()).toMatchObject({ value: 'granted-1', origin: 'refreshed' })
  })

  test.each<[string, PaperAnswer]>([
    ['dead', ({ form }) => (isRefresh(form) ? no(400, 'invalid_grant') : undefined)],
    ['refused', ({ form }) => (isRefresh(form) ? no(400, 'access_denied') : undefined)]
  ])('and whose refresh token is %s is left to the server’s challenge', async (_name, answer) => {
    const { tokens, clock } = await usedSource(tenMinutes(), {}, answer)
    clock.ms = startMs + 600_000
    expect(await tokens.current()).toBeUndefined()
  })

  test('and whose grant turns out to need a person is left to the server’s challenge: nobody is asked before', async () => {
    const grant = paperGrant(async () => ({}), {
      prepare: async (_ask, asking) => {
        expect(asking).toBeUndefined()
        throw new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'the session is over')
      }
    })
    const { tokens, clock } = await usedSource(tenMinutes({ refresh_token: undefined }), { grant })
    clock.ms = startMs + 600_000
    expect(await tokens.current()).toBeUndefined()
    expect(grant.times).toBe(0)
  })

  test('T19: is left to the server’s challenge at once when its refresh token has been refused twice', async () => {
    const { tokens, clock, tokenRequests } = await usedSource(tenMinutes(), {}, ({ form }) =>
      isRefresh(form) ? no(400, 'access_denied') : undefined
    )
    clock.ms = startMs + 600_000
    for (let request = 0; request < 2; request += 1) expect(await tokens.current()).toBeUndefined()
    expect(tokens.current()).toBeUndefined()
    expect(tokenRequests()).toHaveLength(2)
  })

  test('T9: whose renewal fails for the moment fails the request: without a token it would be another one', async () => {
    const { tokens, clock } = await usedSource(tenMinutes(), {}, ({ form }) => (isRefresh(form) ? no(503) : undefined))
    clock.ms = startMs + 600_000
    await expect(tokens.current()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 503 })
  })
})

describe('what is known about a token in use', () => {
  test('is kept when two ways meet it: it is one and the same for all', async () => {
    const source = await usedSource(tenMinutes())
    const stale = await source.tokens.current()
    source.clock.ms = startMs + 600_000
    const [over, refused] = await Promise.all([source.tokens.current(), source.refuse(stale)])
    expect(over).toMatchObject({ origin: 'refreshed', generation: 2 })
    expect(refused).toBe(over)
    expect(source.tokens.current()).toBe(over)
    expect(source.tokenRequests()).toHaveLength(1)
  })

  test('gives way to a new generation, also of the same token', async () => {
    const source = await usedSource(tenMinutes(), {}, ({ form }) =>
      isRefresh(form) ? Response.json({ access_token: 'stored-access', token_type: 'bearer', expires_in: 600 }) : undefined
    )
    source.clock.ms = startMs + 600_000
    expect(await source.tokens.current()).toMatchObject({ value: 'stored-access', generation: 2 })
    source.clock.ms += 500_000
    expect(source.tokens.current()).toMatchObject({ value: 'stored-access', generation: 2 })
  })

  test('gives way to another token, also of the same generation: the cache may have been deleted', async () => {
    const source = await usedSource(tenMinutes())
    await source.put({ version: 1 })
    await source.tokens.login()
    const token = await source.tokens.current()
    expect(token).toMatchObject({ generation: 1 })
    expect(token?.value).not.toBe('stored-access')
  })

  test('T9: a new grant is refreshed at once, also where its server had asked to be left alone', async () => {
    let busy = true
    const source = await usedSource(tenMinutes(), {}, ({ form }) =>
      isRefresh(form) && busy ? no(503, undefined, { 'retry-after': '100' }) : undefined
    )
    const refusal = { accepted: true }
    await expect(source.refuse(await source.tokens.current(), refusal)).rejects.toMatchObject({ status: 503 })
    busy = false
    await expect(source.refuse(await source.tokens.current(), refusal)).rejects.toMatchObject({ status: 503 })
    await source.tokens.login()
    expect(await source.refuse(await source.tokens.current(), refusal)).toMatchObject({ origin: 'refreshed' })
  })
})

test('N38: a token that is bound to a key goes with a proof of it, whose clock is the source’s', async () => {
  const { tokens } = await sourceWith({ ...tenMinutes(), token_type: 'DPoP', dpop_key: generateDpopJwk() }, { dpop: true })
  const headers = tokens.authorize?.((await tokens.current()) as AccessToken, {
    method: 'POST',
    url: new URL('https://mcp.example.com/mcp')
  })
  expect(headers?.authorization).toBe('DPoP stored-access')
  const [, payload] = headers?.dpop?.split('.') ?? []
  expect(JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())).toMatchObject({ iat: startMs / 1000, htm: 'POST' })
})

describe('keepFresh', () => {
  test.each<[string, RecordChange, number]>([
    ['when the token is to be renewed', { expires_at_unix: inSeconds(80), lifetime: 600 }, 20_000],
    ['after ten seconds when that is nearer', { expires_at_unix: inSeconds(61), lifetime: 600 }, 10_000],
    ['after a minute when that is further', {}, 60_000]
  ])('looks again %s', async (_name, record, waitMs) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { tokens, clock, tokenRequests } = await usedSource(tenMinutes(record))
    using _keeping = tokens.keepFresh()
    await settled()
    clock.ms = startMs + (record.expires_at_unix === undefined ? 540_000 : 20_000)
    await vi.advanceTimersByTimeAsync(waitMs - 1)
    await settled()
    expect(tokenRequests()).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(1)
    await settled()
    expect(tokenRequests()).toHaveLength(1)
  })

  test('looks again after a minute while there is no token', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const { tokens } = paperSource()
    using _keeping = tokens.keepFresh()
    await settled()
    const beganMs = Date.now()
    await vi.advanceTimersToNextTimerAsync()
    expect(Date.now() - beganMs).toBe(60_000)
  })

  /** A source that is kept fresh, one look after the other. */
  async function kept(record: TokenRecord | undefined, ...given: Parameters<typeof paperSource>) {
    if (!vi.isFakeTimers()) vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const source = await sourceWith(record, ...given)
    const keeping = source.tokens.keepFresh()
    onTestFinished(() => keeping[Symbol.dispose]())
    await settled()
    return {
      ...source,
      look: async () => {
        await vi.advanceTimersByTimeAsync(60_000)
        await settled()
      }
    }
  }

  test('finds what another process has logged in to, also when it began without a token', async () => {
    const { tokens, put, look } = await kept(undefined)
    await put(tenMinutes())
    expect(tokens.current()).toBeUndefined()
    await look()
    expect(tokens.current()).toMatchObject({ value: 'stored-access' })
  })

  test('T18: after a logout of another process nothing is sent, locked or asked any more, until there is another login', async () => {
    const { tokens, clock, counts, put, look, tokenRequests } = await kept(tenMinutes())
    await put({ version: 1, generation: 2 })
    clock.ms = startMs + 540_000
    await look()
    expect(tokens.current()).toBeUndefined()
    const { locks } = counts
    await look()
    expect({ locks: counts.locks, asked: tokenRequests().length }).toEqual({ locks, asked: 0 })
    await put(paperRecord({ access_token: 'of-the-next-login', generation: 3 }))
    await look()
    expect(tokens.current()).toMatchObject({ value: 'of-the-next-login' })
  })

  test.each<[string, RecordChange]>([
    ['does not say when it ends', { expires_at_unix: undefined, lifetime: undefined }],
    ['ends in a month', { expires_at_unix: inSeconds(30 * 86_400), lifetime: 30 * 86_400 }]
  ])('a token that %s is renewed once a day all the same: its refresh token may idle out before', async (_name, change) => {
    const record = { ...tenMinutes(change), last_refreshed: new Date(startMs).toISOString() }
    const { clock, look, tokenRequests } = await kept(record, {}, ({ form }) =>
      isRefresh(form) ? Response.json({ access_token: 'kept', refresh_token: 'kept-too', token_type: 'bearer' }) : undefined
    )
    clock.ms = startMs + 86_399_999
    await look()
    expect(tokenRequests()).toHaveLength(0)
    clock.ms = startMs + 86_400_000
    await look()
    await look()
    expect(tokenRequests()).toHaveLength(1)
    clock.ms += 86_400_000
    await look()
    expect(tokenRequests().map((form) => form.get('refresh_token'))).toEqual(['stored-refresh', 'kept-too'])
  })

  test('T7: of several that keep one token fresh, one refreshes and the others take what it got', async () => {
    const store = memoryStore()
    const sources = [await kept(tenMinutes(), { store }), ...(await Promise.all([1, 2, 3].map(() => kept(undefined, { store }))))]
    for (const { clock } of sources) clock.ms = startMs + 540_000
    await vi.advanceTimersByTimeAsync(60_000)
    await vi.advanceTimersByTimeAsync(60_000)
    await settled()
    expect(sources.flatMap(({ tokenRequests }) => tokenRequests())).toHaveLength(1)
    const values = new Set(await Promise.all(sources.map(async ({ tokens }) => (await tokens.current())?.value)))
    expect([values.size, values.has('stored-access')]).toEqual([1, false])
  })

  test('what cannot be refreshed is not asked for once a day', async () => {
    const record = { ...paperRecord({ refresh_token: undefined }), last_refreshed: new Date(startMs).toISOString() }
    const { clock, counts, look } = await kept(record)
    clock.ms = startMs + 86_400_000
    await look()
    expect(counts).toEqual({ reads: 1, locks: 0 })
  })
})
