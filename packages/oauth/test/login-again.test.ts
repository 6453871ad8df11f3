import { expect, test } from 'vitest'
import type { Login } from '../src/login.ts'
import { approving, demand, keyOf, type Scene, scene } from './small-servers.ts'

/** A refresh is answered with this error. */
function refuseRefreshes({ as }: Scene, error: string): void {
  as.overrides.set('/token', ({ form }) => (form.get('grant_type') === 'refresh_token' ? { status: 400, body: { error } } : undefined))
}

const registrations = ({ as }: Scene): number => as.at('/register').length

test.each([
  ['invalid_client', 2],
  ['unauthorized_client', 2],
  ['invalid_request', 1],
  ['invalid_grant', 1]
])('a refresh that is refused with %s leads to a login with %d registrations in all', async (error, times) => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  const fetch = world.fetchWith(tokens)
  refuseRefreshes(world, error)
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(world.login.asked).toHaveLength(2)
  expect(registrations(world)).toBe(times)
})

test('login() keeps the registration; with newRegistration it makes another one, once', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  await tokens.login()
  expect(registrations(world)).toBe(1)
  await tokens.login({ newRegistration: true })
  expect(registrations(world)).toBe(2)
  await tokens.login({ newRegistration: false })
  expect(registrations(world)).toBe(2)
})

test('login() checks its scope before anybody is asked, and asks for it', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await expect(tokens.login({ scope: 'a  b' })).rejects.toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
  expect(world.login.asked).toEqual([])
  await tokens.login({ scope: 'a b' })
  expect(world.login.asked[0]?.searchParams.get('scope')).toBe('a b')
})

test('T19: after a no, requests do not ask again for a while; somebody who calls login() does', async () => {
  await using world = await scene()
  let refusing = true
  const denying: Login = async () => ({
    ...(await world.login()),
    ask: async (url, state, signal) => {
      if (!refusing) return await (await approving()()).ask(url, state, signal)
      asked += 1
      return new URLSearchParams({ error: 'access_denied', state })
    }
  })
  let asked = 0
  const tokens = world.tokensWith({ login: denying })
  const fetch = world.fetchWith(tokens)
  for (let request = 0; request < 3; request += 1) await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(asked).toBe(1)
  await expect(tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(asked).toBe(2)
  refusing = false
  await expect(tokens.login()).resolves.toMatchObject({ loggedIn: true })
  expect(await world.post(fetch)).toBe(200)
})

test('N29, T19: a wider token that another process has got is taken, and nobody is asked again', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read"'
  await world.tokensWith().login()
  const [one, other] = [world.fetchWith(world.tokensWith()), world.fetchWith(world.tokensWith())]
  expect([await world.post(one), await world.post(other)]).toEqual([200, 200])
  demand(world, 'write')
  expect(await world.post(one)).toBe(200)
  expect(world.login.asked).toHaveLength(2)
  expect(await world.post(other)).toBe(200)
  expect(world.login.asked).toHaveLength(2)
  expect((await world.store.read(keyOf(world.mcp)))?.scope).toBe('read write')
})

test('N29: a stored token that lacks the scope, too, is no help: a person is asked', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read"'
  await world.tokensWith().login()
  const fetch = world.fetchWith(world.tokensWith())
  expect(await world.post(fetch)).toBe(200)
  await world.tokensWith().login({ scope: 'read list' })
  demand(world, 'write')
  expect(await world.post(fetch)).toBe(200)
  expect(world.login.asked).toHaveLength(3)
})
