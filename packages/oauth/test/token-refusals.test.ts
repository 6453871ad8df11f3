import type { AccessToken, Refusal, TokenRecord } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { fullStore } from './full-store.ts'
import { type PaperSource, paper, paperGrant, paperRecord, paperSource, slowPerson } from './paper-servers.ts'

const startMs = 1_700_000_000_000
const inSeconds = (seconds: number): number => startMs / 1000 + seconds
const isRefresh = (form: URLSearchParams): boolean => form.get('grant_type') === 'refresh_token'
const no = (status: number, error?: string, more = {}): Response => Response.json({ error, ...more }, { status })
const token = (value: string, more: Partial<AccessToken> = {}): AccessToken => ({
  value,
  scheme: 'Bearer',
  generation: 1,
  origin: 'stored',
  ...more
})
const scopesAsked = ({ visited }: PaperSource): (string | null)[] => visited.map(({ searchParams }) => searchParams.get('scope'))
const refreshesSent = ({ tokenRequests }: PaperSource): (string | null)[] =>
  tokenRequests()
    .filter(isRefresh)
    .map((form) => form.get('refresh_token'))

/** A source whose token is in use. */
async function sourceWith(
  record: TokenRecord | undefined,
  ...given: Parameters<typeof paperSource>
): Promise<PaperSource & { held: AccessToken }> {
  const source = paperSource(...given)
  if (record) await source.put(record)
  const held = (await source.tokens.current()) as AccessToken
  Object.assign(source.counts, { reads: 0, locks: 0 })
  return Object.assign(source, { held })
}

/** Neither a person nor a grant. */
const nobody = { login: undefined } as never

/** Server metadata that only the challenge's URL leads to. */
const elsewhere = `${new URL(paper.mcp).origin}/metadata-of-mcp`
function moveMetadata({ documents }: PaperSource): void {
  const usual = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'
  documents[elsewhere] = documents[usual]
  documents[usual] = { resource: paper.mcp, authorization_servers: ['https://old.example.com'] }
}

describe('a refusal that asks for a nonce', () => {
  test('N38: is answered with the same token, and nobody is asked', async () => {
    const { refuse, held, asked } = await sourceWith(paperRecord())
    expect(await refuse(held, { cause: 'nonce' })).toBe(held)
    expect(asked).toEqual([])
  })

  test('though no token was sent needs a login', async () => {
    await expect(paperSource().refuse(undefined, { cause: 'nonce' })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  })
})

describe('a token that is refused', () => {
  test('T7: is refreshed once, however many meet the refusal', async () => {
    const source = await sourceWith(paperRecord())
    const renewed = await Promise.all(Array.from({ length: 10 }, () => source.refuse(source.held)))
    expect(new Set(renewed).size).toBe(1)
    expect(renewed[0]).toMatchObject({ origin: 'refreshed', generation: 2 })
    expect(refreshesSent(source)).toEqual(['stored-refresh'])
  })

  test.each<[string, AccessToken | undefined]>([
    ['was replaced before', token('older', { generation: 0 })],
    ['was not even sent', undefined]
  ])('T7: and %s is answered with the one in use, without a look at the store', async (_name, stale) => {
    const { refuse, held, asked, counts } = await sourceWith(paperRecord())
    expect(await refuse(stale)).toBe(held)
    expect(asked).toEqual([])
    expect(counts).toEqual({ reads: 0, locks: 0 })
  })

  test('T17: is not answered with one that is over, from its very end on', async () => {
    const source = await sourceWith(paperRecord({ expires_at_unix: inSeconds(600) }))
    const older = token('older', { generation: 0 })
    source.clock.ms = startMs + 599_999
    expect(await source.refuse(older)).toBe(source.held)
    source.clock.ms += 1
    expect(await source.refuse(older)).toMatchObject({ origin: 'refreshed', generation: 2 })
  })

  test('T7: is not mixed up with another one that is refused at the same moment', async () => {
    const source = await sourceWith(paperRecord())
    const [older, newer] = await Promise.all([source.refuse(token('older', { generation: 0 })), source.refuse(source.held)])
    expect(older).toBe(source.held)
    expect(newer).toMatchObject({ generation: 2 })
  })

  test('T20: with nothing stored and nobody to ask needs a login at once; nothing is locked, nobody is asked', async () => {
    const source = await sourceWith(undefined, nobody)
    await expect(source.refuse(undefined)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(source.counts.locks).toBe(0)
    expect(source.asked).toEqual([])
  })

  test('and of which only the refresh token is stored is refreshed', async () => {
    const source = await sourceWith(paperRecord({ access_token: undefined }), nobody)
    expect(await source.refuse(undefined)).toMatchObject({ generation: 2 })
    expect(refreshesSent(source)).toEqual(['stored-refresh'])
  })

  test('is answered with the one that another process has got, also where that one cannot be refreshed', async () => {
    const source = await sourceWith(paperRecord(), nobody)
    await source.put(paperRecord({ access_token: 'theirs', refresh_token: undefined, generation: 2 }))
    expect(await source.refuse(source.held)).toMatchObject({ value: 'theirs', origin: 'stored', generation: 2 })
    expect(source.asked).toEqual([])
  })

  test('T8: is refreshed with what could not be written, also when what is stored is lost', async () => {
    const disk = memoryStore()
    const store = fullStore(disk)
    store.full = true
    const source = await sourceWith(undefined, {
      ...(nobody as object),
      store
    })
    await disk.transact(paper.key, (held) => held.write(paperRecord()), { deadlineMs: 1_000 })
    const first = await source.refuse(token('stored-access'))
    expect(first).toMatchObject({ generation: 2 })
    await store.transact(paper.key, (held) => held.clear(), { deadlineMs: 1_000 })
    store.full = false
    await expect(source.refuse(first, { accepted: true })).resolves.toMatchObject({ generation: 3 })
    expect(refreshesSent(source)).toEqual(['stored-refresh', 'refresh-1'])
  })

  describe('T19: and comes from a refresh', () => {
    const refreshed = { origin: 'refreshed' } as const

    test('is not refreshed again when this server has never taken it: a person is asked', async () => {
      const source = await sourceWith(paperRecord())
      expect(await source.refuse({ ...source.held, ...refreshed })).toMatchObject({ origin: 'granted', generation: 2 })
      expect(refreshesSent(source)).toEqual([])
      expect(source.visited).toHaveLength(1)
    })

    test.each<[string, Partial<AccessToken>, Partial<Refusal>]>([
      ['when it has', refreshed, { accepted: true }],
      ['when it was stored', {}, {}],
      ['when a grant brought it', { origin: 'granted' }, {}]
    ])('is refreshed %s', async (_name, stale, refusal) => {
      const source = await sourceWith(paperRecord())
      expect(await source.refuse({ ...source.held, ...stale }, refusal)).toMatchObject({ origin: 'refreshed' })
      expect(source.visited).toEqual([])
    })
  })

  test('T19: and whose refresh token was refused twice leads to a person without a third time', async () => {
    let refusing = true
    const source = await sourceWith(paperRecord(), nobody, ({ form }) =>
      refusing && isRefresh(form) ? no(400, 'access_denied') : undefined
    )
    for (let time = 0; time < 4; time += 1) {
      await expect(source.refuse(source.held)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
      refusing = time === 0
    }
    expect(refreshesSent(source)).toHaveLength(2)
  })

  test('a login that is required says which answer made it so', async () => {
    const source = await sourceWith(paperRecord(), nobody, ({ form }) => (isRefresh(form) ? no(400, 'invalid_grant') : undefined))
    await expect(source.refuse(source.held)).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED',
      cause: expect.objectContaining({ error: 'invalid_grant' })
    })
  })

  test('and cannot be refreshed is got anew by a grant', async () => {
    const grant = paperGrant(async () => ({}))
    const source = await sourceWith(paperRecord({ refresh_token: undefined }), { grant })
    expect(await source.refuse(source.held)).toMatchObject({ value: 'granted-1', origin: 'granted', generation: 2 })
  })

  test.each([
    ['invalid_client', 1],
    ['unauthorized_client', 1],
    ['access_denied', 0],
    ['invalid_grant', 0]
  ])('and whose refresh is refused with %s registers %d times before the login', async (error, times) => {
    const source = await sourceWith(undefined, {}, ({ form }) => (isRefresh(form) ? no(400, error) : undefined))
    await source.tokens.login()
    source.asked.length = 0
    expect(await source.refuse(source.tokens.current() as AccessToken)).toMatchObject({ origin: 'granted' })
    expect(source.asked.filter(({ url }) => url.endsWith('/register'))).toHaveLength(times)
  })

  test('and of which nothing is left leads to a login with the registration that there is', async () => {
    const source = await sourceWith(undefined)
    await source.tokens.login()
    await source.tokens.logout()
    source.asked.length = 0
    expect(await source.refuse(undefined)).toMatchObject({ origin: 'granted' })
    expect(source.asked.map(({ url }) => url)).toEqual([`${paper.issuer}/token`])
  })

  test.each([true, false])(
    'T18: and was replaced during its refresh by a record without an access token leads to a login (somebody is there: %s)',
    async (there) => {
      const store = memoryStore()
      let replaced = false
      const source = await sourceWith(
        undefined,
        {
          ...(there ? {} : (nobody as object)),
          store: {
            ...store,
            // A holder whose lock was lost: somebody else writes while the request is under way.
            transact: (key, work, limits) =>
              store.transact(
                key,
                (held) =>
                  work({
                    ...held,
                    read: async () =>
                      replaced ? paperRecord({ access_token: undefined, refresh_token: 'theirs', generation: 9 }) : held.read()
                  }),
                limits
              )
          }
        },
        ({ form }) => {
          replaced = isRefresh(form)
          return undefined
        }
      )
      await store.transact(paper.key, (held) => held.write(paperRecord()), { deadlineMs: 1_000 })
      const wanted = source.refuse(token('stored-access'))
      if (there) await expect(wanted).resolves.toMatchObject({ origin: 'granted' })
      else await expect(wanted).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
      expect(refreshesSent(source)).toEqual(['stored-refresh'])
    }
  )

  test('and is dead by a word that elsewhere is about the client keeps its registration', async () => {
    const endpoint = 'https://auth.atlassian.com/oauth/token'
    const source = await sourceWith(undefined, {}, ({ url }) =>
      url === endpoint ? no(403, 'unauthorized_client', { error_description: 'refresh_token is invalid' }) : undefined
    )
    await source.tokens.login()
    await source.put({ ...((await source.stored()) as TokenRecord), token_endpoint: endpoint })
    source.asked.length = 0
    expect(await source.refuse(source.tokens.current() as AccessToken)).toMatchObject({ origin: 'granted' })
    expect(source.asked.map(({ url }) => url)).toEqual([endpoint, `${paper.issuer}/token`])
  })

  test('T2: is not refreshed where the resource now names another authorization server, in the metadata that the challenge names', async () => {
    const challenges = [{ scheme: 'bearer', parameters: { resource_metadata: elsewhere } }]
    const stays = await sourceWith(paperRecord(), nobody)
    moveMetadata(stays)
    await expect(stays.refuse(stays.held)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(stays.asked).toEqual([])
    expect(await stays.refuse(stays.held, { challenges })).toMatchObject({ origin: 'refreshed' })
  })

  test('leads to a login where the challenge says that it is to be', async () => {
    const source = await sourceWith(undefined)
    moveMetadata(source)
    const challenges = [{ scheme: 'bearer', parameters: { resource_metadata: elsewhere, scope: 'read' } }]
    expect(await source.refuse(undefined, { challenges })).toMatchObject({ scopes: ['read'] })
  })

  test('N42: leads to a login at a server of before 2025-06-18, which publishes nothing', async () => {
    const source = await sourceWith(undefined, { dangerouslyAllowMissingPkceMetadata: true })
    for (const url of Object.keys(source.documents)) delete source.documents[url]
    const wanted = source.refuse(undefined)
    await expect(wanted).resolves.toMatchObject({ origin: 'granted' })
    expect(source.visited[0]?.href).toMatch(/^https:\/\/mcp\.example\.com\/authorize\?/)
  })
})

describe('N28, N29: a scope that is missing', () => {
  const missing = (scope: string | undefined, more = {}): Partial<Refusal> => ({
    status: 403,
    cause: 'scope',
    challenges: [{ scheme: 'bearer', parameters: { ...(scope === undefined ? {} : { scope }), ...more } }]
  })
  const reading = paperRecord({ scope: 'read' })

  test('is asked for together with what there was, and never by a refresh', async () => {
    const source = await sourceWith(reading)
    expect(await source.refuse(source.held, missing('write'))).toMatchObject({
      origin: 'granted',
      scopes: ['read', 'write'],
      generation: 2
    })
    expect(scopesAsked(source)).toEqual(['read write'])
    expect(refreshesSent(source)).toEqual([])
  })

  test('is asked for once, however many requests lack it; another one at the same moment is asked for, too', async () => {
    const source = await sourceWith(reading)
    const renewed = await Promise.all(['write', 'write', 'list'].map((scope) => source.refuse(source.held, missing(scope))))
    expect(scopesAsked(source)).toHaveLength(2)
    expect(renewed.map(({ scopes }) => scopes)).toEqual([['read', 'write'], ['read', 'write'], expect.arrayContaining(['list'])])
  })

  test.each<[string, AccessToken | undefined]>([
    ['an older token', token('older', { generation: 0, scopes: [] })],
    ['no token', undefined]
  ])('in %s is answered with the one in use when that has it, without a look at the store, and else asked for', async (_name, stale) => {
    const source = await sourceWith(reading)
    expect(await source.refuse(stale, missing('read'))).toBe(source.held)
    expect(source.visited).toEqual([])
    expect(source.counts.reads).toBe(0)
    expect(await source.refuse(stale, missing('write'))).toMatchObject({ scopes: ['read', 'write'] })
  })

  test('in no token, where there is none, is asked for', async () => {
    const source = await sourceWith(undefined)
    expect(await source.refuse(undefined, missing('write'))).toMatchObject({ scopes: ['write'] })
  })

  test('is not asked for when the refused token has it already', async () => {
    const source = await sourceWith(reading)
    await expect(source.refuse(source.held, missing('read'))).rejects.toMatchObject({
      code: 'MCPAUTH_STEP_UP_REQUIRED',
      message: expect.stringContaining('every scope')
    })
    expect(source.visited).toEqual([])
  })

  test('is found in the token that another process has got, also where there is nobody to ask', async () => {
    const source = await sourceWith(reading, nobody)
    await source.put(paperRecord({ access_token: 'theirs', scope: 'read write', generation: 2 }))
    expect(await source.refuse(source.held, missing('write'))).toMatchObject({ value: 'theirs', origin: 'stored' })
    expect(source.tokens.current()).toMatchObject({ value: 'theirs' })
    expect(source.asked).toEqual([])
  })

  test.each<[string, TokenRecord, string | undefined]>([
    ['lacks it, too', paperRecord({ access_token: 'theirs', scope: 'read list', generation: 2 }), 'write'],
    ['is the refused one, whatever its record says', paperRecord({ scope: 'read write' }), 'write'],
    ['is gone', { version: 1, generation: 2 }, undefined]
  ])('is asked for when what is stored %s', async (_name, record, wanted) => {
    const source = await sourceWith(reading)
    await source.put(record)
    const { scopes: _unknown, ...held } = source.held
    expect(await source.refuse(held, missing(wanted))).toMatchObject({ origin: 'granted' })
    expect(source.visited).toHaveLength(1)
  })

  test('T2: is not found in the token of another secret', async () => {
    const grant = paperGrant(async () => ({}), { seed: async () => 'mine' })
    const source = await sourceWith(paperRecord({ scope: 'read', seed: 'mine' }), { grant })
    await source.put(paperRecord({ access_token: 'theirs', scope: 'read write', seed: 'another', generation: 2 }))
    expect(await source.refuse(source.held, missing('write'))).toMatchObject({ value: 'granted-1' })
  })

  test('that the challenge does not name is none: what was requested is asked for once more', async () => {
    const source = await sourceWith(paperRecord(), { scope: 'read' })
    await source.refuse(source.held, missing(undefined))
    expect(scopesAsked(source)).toEqual(['read'])
  })

  test('T20: with nobody to ask is an error that names it', async () => {
    const source = await sourceWith(reading, nobody)
    await expect(source.refuse(source.held, missing('write'))).rejects.toMatchObject({
      code: 'MCPAUTH_STEP_UP_REQUIRED',
      message: expect.stringMatching(/does not have: write$/)
    })
    expect(source.asked).toEqual([])
  })

  test('is got by a grant where no person is needed', async () => {
    const source = await sourceWith(reading, { grant: paperGrant(async () => ({})) })
    expect(await source.refuse(source.held, missing('write'))).toMatchObject({ value: 'granted-1', scopes: ['read', 'write'] })
  })

  test('T19: is asked for three times, and then no more', async () => {
    const source = await sourceWith(reading, {}, ({ form }) =>
      form.get('code')
        ? Response.json({ access_token: `access-${form.get('code_verifier')}`, token_type: 'bearer', scope: 'read' })
        : undefined
    )
    for (let time = 1; time <= 3; time += 1) await source.refuse((await source.tokens.current()) as AccessToken, missing('write'))
    await expect(source.refuse((await source.tokens.current()) as AccessToken, missing('write'))).rejects.toMatchObject({
      code: 'MCPAUTH_STEP_UP_REQUIRED',
      message: expect.stringContaining('after 3 attempts')
    })
    expect(source.visited).toHaveLength(3)
  })

  test('is asked for where the challenge says', async () => {
    const source = await sourceWith(undefined)
    moveMetadata(source)
    await source.refuse(undefined, missing('write', { resource_metadata: elsewhere }))
    expect(source.visited[0]?.origin).toBe(paper.issuer)
  })

  test('N42: is asked for at a server of before 2025-06-18, which publishes nothing', async () => {
    const source = await sourceWith(undefined, { dangerouslyAllowMissingPkceMetadata: true })
    for (const url of Object.keys(source.documents)) delete source.documents[url]
    expect(await source.refuse(undefined, missing('write'))).toMatchObject({ scopes: ['write'] })
  })
})

describe.each<[string, Partial<Refusal>]>([
  ['token', {}],
  ['scope', { cause: 'scope', status: 403, challenges: [{ scheme: 'bearer', parameters: { scope: 'write' } }] }]
])('who waits for a person because of the %s', (_name, refusal) => {
  test('goes away alone: the login goes on for the others', async () => {
    const person = slowPerson()
    const source = await sourceWith(undefined, { login: person.login })
    const leaving = new AbortController()
    const left = source.refuse(undefined, refusal, leaving.signal)
    const stays = source.refuse(undefined, refusal)
    await person.asked
    leaving.abort(new Error('the caller has gone'))
    await expect(left).rejects.toThrow('the caller has gone')
    person.approve()
    expect(await stays).toMatchObject({ origin: 'granted' })
    expect(person.signals).toHaveLength(1)
  })

  test('is told after loginWaitMs that the login is not over, and finds its token later', async () => {
    const person = slowPerson()
    const source = await sourceWith(undefined, { login: person.login, loginWaitMs: 1 })
    await expect(source.refuse(undefined, refusal)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_PENDING' })
    person.approve()
    await expect.poll(() => source.tokens.current()).toMatchObject({ generation: 1 })
  })
})
