import { expect, test } from 'vitest'
import { clientCredentials } from '../src/index.ts'
import { challengedScope, scopeCovers, scopeUnion, scopeWords, selectScope } from '../src/scope-selection.ts'
import { demand, keyOf, scene } from './small-servers.ts'

const nothing = { option: undefined, challenged: undefined, resourceScopes: undefined, serverScopes: undefined, wantsRefresh: true }

test.each([
  ['the challenge’s before the metadata’s', { challenged: 'a', resourceScopes: ['b'] }, 'a'],
  ['all of scopes_supported', { resourceScopes: ['b', 'c'] }, 'b c'],
  ['none', {}, undefined],
  ['the user’s before all', { option: 'mine', challenged: 'a', serverScopes: ['offline_access'] }, 'mine'],
  ['with offline_access where the server lists it (N27)', { challenged: 'a', serverScopes: ['offline_access'] }, 'a offline_access'],
  ['without offline_access where it does not', { challenged: 'a', serverScopes: ['a'] }, 'a'],
  ['without it where nothing can be refreshed', { challenged: 'a', serverScopes: ['offline_access'], wantsRefresh: false }, 'a']
])('N17: the first scope is %s', (_name, given, expected) => {
  expect(selectScope({ ...nothing, ...given })).toBe(expected)
})

test('N18: a challenged scope that the metadata does not know is asked for all the same', async () => {
  await using world = await scene()
  world.mcp.metadata.scopes_supported = ['known']
  world.mcp.challenge += ', scope="unknown"'
  await world.post(world.fetchWith())
  expect(world.login.asked[0]?.searchParams.get('scope')).toBe('unknown')
})

test('N27: offline_access comes with prompt=consent, without which OpenID providers ignore it', async () => {
  await using world = await scene()
  world.as.metadata.scopes_supported = ['offline_access']
  await world.tokensWith().login()
  expect(Object.fromEntries(world.login.asked[0]?.searchParams ?? [])).toMatchObject({ scope: 'offline_access', prompt: 'consent' })
})

test('N28, N29: a 403 insufficient_scope asks for what was requested before and what is challenged, without a refresh', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read"'
  demand(world, 'write')
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(world.login.asked.map(({ searchParams }) => searchParams.get('scope'))).toEqual(['read', 'read write'])
  expect(world.as.refreshes).toBe(0)
})

test('N29: the union is of what was requested, also where less was granted', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read files"'
  world.as.tokenFields = { scope: 'read' }
  const tokens = world.tokensWith()
  await tokens.login()
  demand(world, 'write')
  await world.post(world.fetchWith(tokens)).catch(() => undefined)
  expect(world.login.asked[1]?.searchParams.get('scope')).toBe('read files write')
})

test('N29, T19: a server that is never content gets three more logins for one scope set, in whatever order', async () => {
  await using world = await scene()
  world.as.tokenFields = { scope: 'read' }
  let times = 0
  world.mcp.overrides.set('/mcp', ({ headers }) => {
    if (!headers.authorization) return undefined
    times += 1
    return { status: 403, headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${times % 2 ? 'a b' : 'b a'}"` } }
  })
  const fetch = world.fetchWith()
  // The first request ends with its five sends; those after it are told why.
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
  for (let request = 0; request < 5; request += 1) {
    await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_STEP_UP_REQUIRED' })
  }
  expect(world.login.asked).toHaveLength(1 + 3)
})

test('N29: a token that has every challenged scope already is not widened', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read"'
  const tokens = world.tokensWith()
  await tokens.login()
  world.mcp.overrides.set('/mcp', () => ({
    status: 403,
    headers: { 'www-authenticate': 'Bearer error="insufficient_scope", scope="read"' }
  }))
  await expect(world.post(world.fetchWith(tokens))).rejects.toMatchObject({ code: 'MCPAUTH_STEP_UP_REQUIRED' })
  expect(world.login.asked).toHaveLength(1)
})

test('a step-up without anyone to ask names the scope and the command', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  demand(world, 'write')
  const { oauthTokens } = await import('../src/index.ts')
  const tokens = oauthTokens(world.mcp.url, { store: world.store })
  await expect(world.post(world.fetchWith(tokens))).rejects.toMatchObject({
    code: 'MCPAUTH_STEP_UP_REQUIRED',
    hint: `run: npx @mcpauth/cli login ${world.mcp.url} --scope "write"`
  })
})

test('many requests that lack one scope make one step-up', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  demand(world, 'write')
  const fetch = world.fetchWith(tokens)
  expect(await Promise.all(Array.from({ length: 20 }, () => world.post(fetch)))).toEqual(Array(20).fill(200))
  expect(world.login.asked).toHaveLength(2)
})

test('N28: where no person is needed a step-up goes on in the background, once for many requests', async () => {
  await using world = await scene()
  world.as.tokenFields = { refresh_token: undefined }
  const client = { clientId: 'robot', clientSecret: () => 'the-secret-of-the-robot' }
  const fetch = world.fetchWith({ grant: clientCredentials(), client, scope: 'read' })
  expect(await world.post(fetch)).toBe(200)
  demand(world, 'write')
  expect(await Promise.all(Array.from({ length: 20 }, () => world.post(fetch)))).toEqual(Array(20).fill(200))
  expect(world.as.at('/token').map(({ form }) => form.get('scope'))).toEqual(['read', 'read write'])
})

test('a scope that another process has got meanwhile is taken, and nobody is asked', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  await world.post(world.fetchWith(tokens))
  await world.tokensWith().login({ scope: 'write' })
  demand(world, 'write')
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.login.asked).toHaveLength(2)
  expect((await world.store.read(keyOf(world.mcp)))?.scope).toBe('write')
})

test('a 403 of another kind is the server’s answer', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  world.mcp.overrides.set('/mcp', () => ({ status: 403, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } }))
  expect(await world.post(world.fetchWith(tokens))).toBe(403)
})

test('scopes are words, each once, in the order in which they came', () => {
  expect(scopeWords(undefined)).toEqual([])
  expect(scopeWords('  b a  b ')).toEqual(['b', 'a'])
  expect(scopeUnion('b a', 'c b')).toBe('b a c')
  expect(scopeUnion(undefined, 'c')).toBe('c')
  expect(scopeUnion('c', undefined)).toBe('c')
  expect(scopeUnion(undefined, ' ')).toBeUndefined()
})

test('N29: granted scopes cover what is wanted only when every word is there, and are known', () => {
  expect(scopeCovers(['a', 'b'], ['b'])).toBe(true)
  expect(scopeCovers(['a', 'b'], [])).toBe(true)
  expect(scopeCovers(['a', 'b'], ['b', 'c'])).toBe(false)
  expect(scopeCovers(undefined, [])).toBe(false)
})

test('N17 N18: what several challenges ask for is asked for together, and an empty scope is none', () => {
  const challenge = (scope?: string) => ({ scheme: 'bearer', parameters: scope === undefined ? {} : { scope } }) as never
  expect(challengedScope([challenge('a'), challenge(), challenge('b a')])).toBe('a b')
  expect(challengedScope([challenge()])).toBeUndefined()
  expect(challengedScope([])).toBeUndefined()
  expect(selectScope({ ...nothing, challenged: '', resourceScopes: ['b'] })).toBe('b')
  expect(selectScope({ ...nothing, resourceScopes: [] })).toBeUndefined()
  expect(selectScope({ ...nothing, option: 'a a' })).toBe('a')
})
