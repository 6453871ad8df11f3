import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccessToken, TransactOptions } from '@mcpauth/core'
import { fileStore, memoryStore } from '@mcpauth/token-store'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Login } from '../src/login.ts'
import { fullStore } from './full-store.ts'
import { type PaperAnswer, paper, paperGrant, paperRecord, paperSource, slowPerson } from './paper-servers.ts'

const nobody = { login: undefined } as never
const isRefresh = (form: URLSearchParams): boolean => form.get('grant_type') === 'refresh_token'
const challenge = (parameters: string): Response =>
  new Response(null, { status: 401, headers: { 'www-authenticate': `Bearer ${parameters}` } })

describe('login()', () => {
  test('T20: without a person or a grant is an error, and nobody is asked', async () => {
    const source = paperSource(nobody)
    await expect(source.tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(source.asked).toEqual([])
  })

  test('asks the person it is given, and not the one of the options', async () => {
    const person = slowPerson()
    person.approve()
    const source = paperSource()
    expect(await source.tokens.login({ login: person.login })).toMatchObject({ loggedIn: true, generation: 1 })
    expect(person.signals).toHaveLength(1)
    expect(source.visited).toEqual([])
    // Where the options name none, too.
    expect(await paperSource(nobody).tokens.login({ login: person.login })).toMatchObject({ loggedIn: true })
  })

  test('runs a grant where there is one', async () => {
    const grant = paperGrant(async () => ({}))
    expect(await paperSource({ grant }).tokens.login()).toMatchObject({ loggedIn: true })
    expect(grant.times).toBe(1)
  })

  test('asks also when there is a good token; what it brings counts as stored, so that its refusal is not hopeless', async () => {
    const source = paperSource()
    await source.put(paperRecord())
    expect(await source.tokens.current()).toMatchObject({ generation: 1 })
    expect(await source.tokens.login()).toMatchObject({ generation: 2 })
    expect(source.visited).toHaveLength(1)
    expect(source.tokens.current()).toMatchObject({ generation: 2, origin: 'stored' })
  })

  test('asks after a logout, too', async () => {
    const source = paperSource()
    await source.put({ version: 1, generation: 4 })
    expect(await source.tokens.login()).toMatchObject({ generation: 5 })
  })

  test('N17: asks for the scope that the server’s challenge names, at the place that it names', async () => {
    const named = 'https://mcp.example.com/metadata-of-mcp'
    const source = paperSource({}, ({ url }) =>
      url === paper.mcp ? challenge(`scope="from-there", resource_metadata="${named}"`) : undefined
    )
    source.documents[named] = { resource: paper.mcp, authorization_servers: [paper.issuer] }
    source.documents['https://mcp.example.com/.well-known/oauth-protected-resource/mcp'] = undefined
    expect(await source.tokens.login()).toMatchObject({ scope: 'from-there', issuer: paper.issuer })
  })

  test('N42: takes a server that publishes nothing for one of before 2025-06-18 only when it refuses', async () => {
    const refusing = paperSource({ dangerouslyAllowMissingPkceMetadata: true })
    const content = paperSource({ dangerouslyAllowMissingPkceMetadata: true }, ({ url }) =>
      url === paper.mcp ? new Response() : undefined
    )
    for (const { documents } of [refusing, content]) for (const url of Object.keys(documents)) delete documents[url]
    expect(await refusing.tokens.login()).toMatchObject({ loggedIn: true })
    await expect(content.tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
  })

  test('N12: registers anew only where that is wanted', async () => {
    const source = paperSource()
    const registrations = (): number => source.asked.filter(({ url }) => url.endsWith('/register')).length
    for (const [options, times] of [
      [{}, 1],
      [{ newRegistration: false }, 1],
      [{ newRegistration: true }, 2]
    ] as const) {
      await source.tokens.login(options)
      expect(registrations()).toBe(times)
    }
  })

  test('checks its scope before anybody is asked, and asks for it', async () => {
    const source = paperSource({ scope: 'of-the-options' })
    await expect(source.tokens.login({ scope: 'a  b' })).rejects.toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
    expect(source.asked).toEqual([])
    await source.tokens.login({ scope: 'a b' })
    expect(source.visited[0]?.searchParams.get('scope')).toBe('a b')
  })

  test('T19: at once with another asks once for both', async () => {
    const source = paperSource()
    const statuses = await Promise.all([source.tokens.login({ scope: 'a' }), source.tokens.login({ scope: 'a' })])
    expect(statuses).toEqual([expect.objectContaining({ scope: 'a' }), expect.objectContaining({ scope: 'a' })])
    expect(source.visited).toHaveLength(1)
  })

  test('at once with one for another scope asks for both, one after the other', async () => {
    const source = paperSource()
    const statuses = await Promise.all(['a', 'b'].map((scope) => source.tokens.login({ scope })))
    expect(source.visited.map(({ searchParams }) => searchParams.get('scope')).toSorted()).toEqual(['a', 'b'])
    expect(statuses[1]).toMatchObject({ generation: 2 })
  })

  test('T19: at once with that of another process for the same scope asks once, also where less was granted', async () => {
    const answer: PaperAnswer = ({ form }) =>
      form.get('code') ? Response.json({ access_token: 'one-for-both', token_type: 'bearer', scope: 'a' }) : undefined
    const one = paperSource({}, answer)
    const other = paperSource({ store: one.store }, answer)
    await Promise.all([one, other].map(({ tokens }) => tokens.login({ scope: 'a b' })))
    expect([...one.visited, ...other.visited]).toHaveLength(1)
  })

  test('T19: asks again after a no, which a request would not', async () => {
    let asked = 0
    const denying: Login = async () => ({
      redirectUri: 'http://127.0.0.1:9/callback',
      ask: async (_url, state) => {
        asked += 1
        return new URLSearchParams({ error: 'access_denied', state })
      }
    })
    const source = paperSource({ login: denying })
    for (const times of [1, 2]) {
      source.clock.ms += 1
      await expect(source.tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
      expect(asked).toBe(times)
    }
    await expect(source.refuse(undefined)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
    expect(asked).toBe(2)
  })

  test('that is aborted ends at once, and so does what the person is asked with', async () => {
    const person = slowPerson()
    const source = paperSource({ login: person.login })
    const giveUp = new AbortController()
    const login = source.tokens.login({ signal: giveUp.signal })
    await person.asked
    expect(person.signals[0]?.aborted).toBe(false)
    giveUp.abort(new Error('enough'))
    await expect(login).rejects.toThrow('enough')
    expect(person.signals[0]?.aborted).toBe(true)
    person.approve()
  })

  test.each<[string, boolean]>([
    ['has a signal of its own', true],
    ['waits as long as it takes', false]
  ])('T19: that is aborted goes on for another that joined it and %s', async (_name, hasSignal) => {
    const person = slowPerson()
    const source = paperSource({ login: person.login })
    const [leaving, staying] = [new AbortController(), new AbortController()]
    const left = source.tokens.login({ signal: leaving.signal })
    await person.asked
    const stays = source.tokens.login(hasSignal ? { signal: staying.signal } : {})
    // It has joined when its own question to the server is answered.
    await expect.poll(() => source.asked.filter(({ url }) => url === paper.mcp)).toHaveLength(2)
    await new Promise(setImmediate)
    leaving.abort(new Error('enough'))
    await expect(left).rejects.toThrow('enough')
    expect(person.signals[0]?.aborted).toBe(false)
    person.approve()
    expect(await stays).toMatchObject({ loggedIn: true })
    expect(person.signals).toHaveLength(1)
  })

  test.each<[string, boolean, object]>([
    ['is aborted, is asked next', true, { status: 'fulfilled', value: { loggedIn: true } }],
    ['fails, is not asked', false, { status: 'rejected', reason: { code: 'MCPAUTH_LOGIN_FAILED' } }]
  ])('T19: a person of another process, who waits for one that %s', async (_name, aborted, outcome) => {
    const root = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
    onTestFinished(() => rmSync(root, { recursive: true }))
    const person = slowPerson()
    const first = paperSource({ store: fileStore({ root }), login: person.login })
    const second = paperSource({ store: fileStore({ root }) })
    const giveUp = new AbortController()
    const gone = first.tokens.login({ signal: giveUp.signal })
    await person.asked
    const waiting = second.tokens.login()
    await expect.poll(() => second.asked).toHaveLength(1)
    if (aborted) giveUp.abort(new Error('enough'))
    else person.refuse()
    await expect(gone).rejects.toThrow()
    const [ended] = await Promise.allSettled([waiting])
    expect(ended).toMatchObject(outcome)
    expect(second.visited).toHaveLength(aborted ? 1 : 0)
  })

  test('that is aborted before it began asks nobody, not even the server', async () => {
    const source = paperSource()
    await expect(source.tokens.login({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow()
    expect(source.asked).toEqual([])
  })

  test('waits for a person ten seconds longer than a login may take, and then no more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const person = slowPerson()
    const ended: unknown[] = []
    const login = paperSource({ login: person.login })
      .tokens.login()
      .catch((error) => ended.push(error))
    await person.asked
    await vi.advanceTimersByTimeAsync(309_999)
    expect(ended).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    await login
    expect(ended).toEqual([expect.objectContaining({ code: 'MCPAUTH_LOGIN_FAILED' })])
    person.approve()
  })
})

describe('logout()', () => {
  test('N41: revokes what is stored, and forgets it', async () => {
    const source = paperSource({}, ({ url }) => (url.endsWith('/revoke') ? new Response() : undefined))
    Object.assign(source.documents[`${paper.issuer}/.well-known/oauth-authorization-server`] as object, {
      revocation_endpoint: `${paper.issuer}/revoke`
    })
    await source.put(paperRecord())
    await source.tokens.current()
    await source.tokens.logout()
    expect(source.asked.map(({ form }) => form.get('token'))).toEqual(['stored-refresh', 'stored-access'])
    expect(source.tokens.current()).toBeUndefined()
    expect(await source.tokens.status()).toMatchObject({ loggedIn: false, canRefresh: false })
  })

  test.each<[string, object, number]>([
    ['of a token of generation 7 leaves generation 8', { generation: 7 }, 8],
    ['of a token without a generation leaves the second', { generation: undefined }, 2]
  ])('T18: %s: a refresh that another process has still to write is over', async (_name, change, generation) => {
    const source = paperSource()
    await source.put(paperRecord(change))
    await source.tokens.logout()
    const left = await source.stored()
    expect(left).toMatchObject({ generation })
    expect(left).not.toHaveProperty('access_token')
    expect(left).not.toHaveProperty('refresh_token')
  })

  test('where nothing is stored asks nobody, leaves nothing and warns of nothing', async () => {
    const warnings: unknown[] = []
    const listener = (message: unknown): void => void warnings.push(message)
    subscribe('mcpauth:store:warning', listener)
    onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
    const source = paperSource()
    await source.tokens.logout()
    expect(source.asked).toEqual([])
    expect(warnings).toEqual([])
    expect(await source.stored()).toBeUndefined()
  })

  test('leaves nothing to look for: the next request reads nothing', async () => {
    const source = paperSource()
    await source.put(paperRecord())
    await source.tokens.logout()
    expect(source.tokens.current()).toBeUndefined()
    expect(source.counts.reads).toBe(0)
  })

  test('T8: waits for another holder no longer than lockWaitMs', async () => {
    const store = memoryStore()
    const limits: TransactOptions[] = []
    const { tokens } = paperSource({
      lockWaitMs: 1_234,
      store: {
        ...store,
        transact: (key, work, options) => {
          limits.push(options)
          return store.transact(key, work, options)
        }
      }
    })
    await tokens.logout()
    expect(limits).toEqual([{ deadlineMs: 1_234 }])
  })

  test('T18: takes what could not be written with it', async () => {
    const disk = memoryStore()
    const store = fullStore(disk)
    store.full = true
    const source = paperSource({
      ...(nobody as object),
      store
    })
    await disk.transact(paper.key, (held) => held.write(paperRecord()), { deadlineMs: 1_000 })
    const token = await source.refuse((await source.tokens.current()) as AccessToken)
    store.full = false
    await source.tokens.logout()
    await store.transact(paper.key, (held) => held.write({ version: 1 }), { deadlineMs: 1_000 })
    await expect(source.refuse(token, { accepted: true })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(source.tokenRequests().filter(isRefresh)).toHaveLength(1)
  })
})

test('status() tells what is stored, also of another process', async () => {
  const source = paperSource()
  expect(await source.tokens.status()).toMatchObject({ server: paper.mcp, loggedIn: false, generation: 0 })
  await source.put(paperRecord({ scope: 'read' }))
  expect(await source.tokens.status()).toEqual({
    server: paper.mcp,
    loggedIn: true,
    issuer: paper.issuer,
    clientId: 'stored-client',
    scope: 'read',
    canRefresh: true,
    generation: 1
  })
})
