import { expect, test } from 'vitest'
import { deviceLogin, type OAuthOptions } from '../src/index.ts'
import { type Scene, scene } from './small-servers.ts'

/** Each endpoint by its option, and where the small server has it. */
const endpoints = {
  authorizationUrl: '/authorize',
  tokenUrl: '/token',
  registrationUrl: '/register',
  revocationUrl: '/revoke',
  deviceAuthorizationUrl: '/device'
} as const

type Endpoint = keyof typeof endpoints

/** Every endpoint also exists at `…-by-hand`, and does the same there. */
async function bothPlaces(): Promise<Scene> {
  const world = await scene()
  const { as } = world
  Object.assign(as.metadata, { revocation_endpoint: `${as.origin}/revoke`, device_authorization_endpoint: `${as.origin}/device` })
  const code = { device_code: 'd', user_code: 'ABCD', verification_uri: `${as.origin}/type-it`, expires_in: 60, interval: 1 }
  for (const path of ['/device', '/device-by-hand']) as.overrides.set(path, () => ({ body: code }))
  for (const path of Object.values(endpoints)) {
    if (path === '/device') continue
    as.overrides.set(`${path}-by-hand`, async ({ method, headers, url, body }) => {
      // Those of the connection are none of its business.
      const { authorization = '', 'content-type': type = '' } = headers
      const answer = await fetch(new URL(path + url.search, as.origin), {
        method,
        headers: { ...(authorization && { authorization }), ...(type && { 'content-type': type }) },
        redirect: 'manual',
        ...(body === '' ? {} : { body })
      })
      const location = answer.headers.get('location')
      return { status: answer.status, headers: location === null ? {} : { location }, body: await answer.text() }
    })
  }
  return world
}

/** Which endpoints were asked by us, as against those that the small server asked in our place. */
function asked({ as }: Scene, given: Endpoint): Record<'byHand' | 'discovered', Endpoint[]> {
  const names = Object.keys(endpoints) as Endpoint[]
  const count = (path: string): number => as.at(path).length
  return {
    byHand: names.filter((name) => count(`${endpoints[name]}-by-hand`) > 0),
    discovered: names.filter((name) => name !== given && count(endpoints[name]) > 0)
  }
}

const byBrowser: Endpoint[] = ['authorizationUrl', 'tokenUrl', 'registrationUrl', 'revocationUrl']
const byDevice: Endpoint[] = ['tokenUrl', 'registrationUrl', 'revocationUrl', 'deviceAuthorizationUrl']

test.each<[Endpoint, 'browser' | 'device', Endpoint[]]>([
  ...byBrowser.map((name): [Endpoint, 'browser', Endpoint[]] => [name, 'browser', byBrowser]),
  ...byDevice.map((name): [Endpoint, 'device', Endpoint[]] => [name, 'device', byDevice])
])('%s given by hand is used in place of its own at a %s login, and the others are discovered', async (given, way, all) => {
  await using world = await bothPlaces()
  const grant = deviceLogin({ show: () => undefined, wait: async () => undefined })
  const options: OAuthOptions = { [given]: `${world.as.origin}${endpoints[given]}-by-hand`, ...(way === 'device' ? { grant } : {}) }
  const tokens = world.tokensWith(options)
  await tokens.login()
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  await tokens.logout()
  expect(asked(world, given)).toEqual({ byHand: [given], discovered: all.filter((name) => name !== given) })
})

/** A server of before 2025-06-18, whose authorization server has its metadata at the MCP server's own root. */
async function legacy(): Promise<Scene> {
  const world = await bothPlaces()
  const { mcp, as } = world
  mcp.challenge = undefined
  mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
  mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ body: { ...as.metadata, issuer: mcp.origin } }))
  return world
}

const named = ({ as }: Scene): OAuthOptions => ({
  authorizationUrl: `${as.origin}/authorize-by-hand`,
  tokenUrl: `${as.origin}/token-by-hand`
})

test('N42: the endpoints that were not given are discovered also where only the server’s root has metadata', async () => {
  await using world = await legacy()
  expect(await world.post(world.fetchWith(named(world)))).toBe(200)
  expect(world.as.at('/register')).toHaveLength(1)
  expect(world.as.at('/token-by-hand')).toHaveLength(1)
})

test.each<[string, (world: Scene) => void]>([
  ['is not there', ({ mcp }) => mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ status: 404 }))],
  ['cannot be read just then', ({ mcp }) => mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ status: 503 }))],
  ['is of another issuer', ({ mcp, as }) => mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ body: as.metadata }))]
])('N7 N42: who names the endpoints and a client needs no metadata: it %s', async (_name, change) => {
  await using world = await legacy()
  change(world)
  expect(await world.post(world.fetchWith({ ...named(world), client: { clientId: 'mine' } }))).toBe(200)
  expect(world.as.at('/register')).toHaveLength(0)
})

test('N15: a client that is registered elsewhere is used there, whatever the metadata at the server’s root says', async () => {
  await using world = await legacy()
  const client = { clientId: 'mine', issuer: 'https://as.example.com' }
  const tokens = world.tokensWith({ ...named(world), client })
  expect(await tokens.login()).toMatchObject({ loggedIn: true, issuer: 'https://as.example.com' })
})
