import type { AuthChallenge, TokenRecord } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { authorizationContext } from '../src/authorization-context.ts'
import { refreshTokenOnly } from '../src/index.ts'
import { loginErrors } from '../src/login-errors.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'
import { recordRefresh } from '../src/record-refresh.ts'
import { roadNetwork } from '../src/road-network.ts'
import { type Scene, scene } from './small-servers.ts'

const metadataUrl = 'https://app.example.com/client.json'

function refreshOf(world: Scene, options: OAuthOptions = {}) {
  const settings = checkOptions(world.mcp.url, { store: world.store, ...options })
  return recordRefresh(authorizationContext(settings, roadNetwork(undefined)), loginErrors(settings))
}

/** The record of a login at the scene's server. */
const recordOf = (world: Scene, more: Record<string, unknown> = {}): TokenRecord => ({
  access_token: 'access-1',
  refresh_token: 'refresh-1',
  generation: 1,
  issuer: world.as.origin,
  token_endpoint: `${world.as.origin}/token`,
  client: { client_id: 'registered', token_endpoint_auth_method: 'none' },
  ...more
})

/** A record as another program writes it. */
const bare = (more: Record<string, unknown> = {}): TokenRecord => ({ access_token: 'access-1', refresh_token: 'refresh-1', ...more })

const challenge = (parameters: Record<string, string> = {}): AuthChallenge => ({ scheme: 'bearer', parameters })

describe('T2: whether the user’s options still mean the client and endpoint that the tokens came from', () => {
  test.each<[string, boolean, OAuthOptions, Record<string, unknown>]>([
    ['no options at all', true, {}, {}],
    ['the same token URL', true, { tokenUrl: 'https://as.example.com/token' }, { token_endpoint: 'https://as.example.com/token' }],
    ['another token URL', false, { tokenUrl: 'https://as.example.com/token2' }, { token_endpoint: 'https://as.example.com/token' }],
    ['a token URL and a record without one', true, { tokenUrl: 'https://as.example.com/token' }, { token_endpoint: undefined }],
    ['the same client', true, { client: { clientId: 'mine' } }, { client: { client_id: 'mine' } }],
    ['another client', false, { client: { clientId: 'mine' } }, { client: { client_id: 'other' } }],
    ['a client and a record without one', true, { client: { clientId: 'mine' } }, { client: undefined }],
    ['a metadata document that is the client', true, { clientMetadataUrl: metadataUrl }, { client: { client_id: metadataUrl } }],
    ['a metadata document where the client registered', true, { clientMetadataUrl: metadataUrl }, { client: { client_id: 'registered' } }],
    [
      'a metadata document with a key, where the client registered',
      true,
      { clientMetadataUrl: metadataUrl, client: { clientId: metadataUrl } },
      { client: { client_id: 'registered' } }
    ],
    [
      'a metadata document and another client',
      false,
      { clientMetadataUrl: metadataUrl, client: { clientId: 'mine' } },
      { client: { client_id: 'registered' } }
    ],
    [
      'a client of the same issuer',
      true,
      { client: { clientId: 'registered', issuer: 'https://as.example.com' } },
      { issuer: 'https://as.example.com' }
    ],
    [
      'a client of another issuer',
      false,
      { client: { clientId: 'registered', issuer: 'https://other.example.com' } },
      { issuer: 'https://as.example.com' }
    ],
    ['a resource', true, { resource: 'https://r.example' }, { resource: 'https://r.example' }],
    ['another resource', false, { resource: 'https://r.example' }, { resource: 'https://other.example' }],
    ['a resource, and a record that does not say which', true, { resource: 'https://r.example' }, { resource: undefined }],
    [
      'a client of an issuer, and a record that does not say whose it is',
      true,
      { client: { clientId: 'registered', issuer: 'https://as.example.com' } },
      { issuer: undefined }
    ]
  ])('%s: %s', async (_name, expected, options, more) => {
    await using world = await scene()
    expect(await refreshOf(world, options).isOurs(recordOf(world, more))).toBe(expected)
  })

  test('tokens of a secret that has been replaced are not', async () => {
    await using world = await scene()
    const grant = refreshTokenOnly({ refreshToken: { env: 'REFRESH_TOKEN' } })
    const { isOurs } = refreshOf(world, { grant, env: { REFRESH_TOKEN: 'todays' } })
    const seed = await grant.seed?.({ REFRESH_TOKEN: 'todays' })
    expect(seed).toEqual(expect.any(String))
    expect(await isOurs(recordOf(world, { seed }))).toBe(true)
    expect(await isOurs(recordOf(world, { seed: 'yesterdays' }))).toBe(false)
    expect(await isOurs(recordOf(world))).toBe(false)
  })
})

describe('T2: after a 401, whether the resource is still that of the server the tokens came from', () => {
  test('is asked of the resource, where its challenge says', async () => {
    await using world = await scene()
    world.mcp.overrides.set('/here', () => ({ body: world.mcp.metadata }))
    const challenges = [challenge(), challenge({ resource_metadata: `${world.mcp.origin}/here` })]
    expect(await refreshOf(world).isStillOurs(recordOf(world), challenges)).toBe(true)
    expect(world.mcp.seen.map(({ path }) => path)).toEqual(['/here'])
  })

  test('it is not when the resource names another server', async () => {
    await using world = await scene()
    world.mcp.metadata.authorization_servers = ['https://new.example.com']
    expect(await refreshOf(world).isStillOurs(recordOf(world), [])).toBe(false)
  })

  test('another origin has no say in it', async () => {
    await using evil = await scene()
    await using world = await scene()
    evil.mcp.overrides.set('/metadata', () => ({ body: { ...world.mcp.metadata, authorization_servers: ['https://evil.example'] } }))
    const challenges = [challenge({ resource_metadata: `${evil.mcp.origin}/metadata` })]
    expect(await refreshOf(world).isStillOurs(recordOf(world), challenges)).toBe(true)
    expect(evil.mcp.seen).toEqual([])
  })

  test('nobody is asked about a record that is not ours', async () => {
    await using world = await scene()
    const { isStillOurs } = refreshOf(world, { client: { clientId: 'another' } })
    expect(await isStillOurs(recordOf(world), [])).toBe(false)
    expect(world.mcp.seen).toEqual([])
  })

  test('N42: a server without metadata has nothing to say against it', async () => {
    await using world = await scene()
    world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
    expect(await refreshOf(world).isStillOurs(recordOf(world), [])).toBe(true)
  })

  test('T9: a server that cannot say is an error, not a yes', async () => {
    await using world = await scene()
    world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 503 }))
    await expect(refreshOf(world).isStillOurs(recordOf(world), [])).rejects.toMatchObject({ status: 503 })
  })
})

describe('T2: where a refresh token is sent', () => {
  /** A refresh token that this server takes. */
  async function loggedIn(): Promise<{ world: Scene; record: TokenRecord }> {
    const world = await scene()
    await world.tokensWith({ client: { clientId: 'mine' } }).login()
    const record = (await world.store.read({ kind: 'server', url: world.mcp.url })) as TokenRecord
    world.as.seen.length = 0
    world.mcp.seen.length = 0
    return { world, record }
  }
  const refused = { code: 'MCPAUTH_LOGIN_REQUIRED' }

  test('to the endpoint of the record, with its client and resource, and without any discovery', async () => {
    const { world, record } = await loggedIn()
    await using _world = world
    await refreshOf(world).send(record, record.refresh_token as string)
    expect(world.as.seen.map(({ path }) => path)).toEqual(['/token'])
    expect(world.mcp.seen).toEqual([])
    expect(Object.fromEntries(world.as.seen[0]?.form ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: record.refresh_token,
      client_id: 'mine',
      resource: world.mcp.url
    })
  })

  test.each<[string, OAuthOptions, Record<string, unknown>, string | null]>([
    ['that of the record', { resource: 'https://option.example' }, { resource: 'https://record.example' }, 'https://record.example'],
    ['the option, where the record has none', { resource: 'https://option.example' }, { resource: undefined }, 'https://option.example'],
    ['none, where the option says so', { dangerouslyOmitResource: true }, { resource: 'https://record.example' }, null]
  ])('N23: the resource is %s', async (_name, options, more, expected) => {
    const { world, record } = await loggedIn()
    await using _world = world
    await refreshOf(world, options).send({ ...record, ...more }, record.refresh_token as string)
    expect(world.as.at('/token')[0]?.form.get('resource')).toBe(expected)
  })

  test.each<[string, OAuthOptions, string | undefined, string | null]>([
    ['none, so that what was granted stays', {}, 'a b', null],
    ['none, where the option says so', { scopeOnRefresh: 'omit' }, 'a b', null],
    ['what was requested, for a server that wants it again', { scopeOnRefresh: 'requested' }, 'a b', 'a b'],
    ['none, where none was requested', { scopeOnRefresh: 'requested' }, undefined, null]
  ])('the scope is %s', async (_name, options, requested_scope, expected) => {
    const { world, record } = await loggedIn()
    await using _world = world
    const asked = { ...record, scope: 'a', ...(requested_scope === undefined ? {} : { requested_scope }) }
    await refreshOf(world, options).send(asked, record.refresh_token as string)
    expect(world.as.at('/token')[0]?.form.get('scope')).toBe(expected)
  })

  test('a record whose client nobody knows is not renewable', async () => {
    const { world, record } = await loggedIn()
    await using _world = world
    const { client: _client, ...unknown } = record
    await expect(refreshOf(world).send(unknown, 'refresh-1')).rejects.toMatchObject(refused)
    expect(world.as.at('/token')).toEqual([])
  })

  test('a record that does not say where it is from goes to the user’s token URL', async () => {
    const { world, record } = await loggedIn()
    await using _world = world
    const tokenUrl = `${world.as.origin}/token`
    const { send } = refreshOf(world, { client: { clientId: 'mine' }, tokenUrl })
    for (const more of [{}, { token_endpoint: 'no URL' }]) {
      const { refresh_token } = await send(bare(more), record.refresh_token as string)
      record.refresh_token = refresh_token as string
    }
    expect(world.as.seen.map(({ path }) => path)).toEqual(['/token', '/token'])
  })

  test('an endpoint without its issuer counts when the user names the same one', async () => {
    const { world, record } = await loggedIn()
    await using _world = world
    const tokenUrl = `${world.as.origin}/token`
    await refreshOf(world, { client: { clientId: 'mine' }, tokenUrl }).send(
      bare({ token_endpoint: tokenUrl }),
      record.refresh_token as string
    )
    expect(world.as.at('/token')).toHaveLength(1)
    expect(world.mcp.seen).toEqual([])
  })

  test('an endpoint without its issuer counts when it is the MCP server’s own', async () => {
    await using world = await scene()
    world.mcp.overrides.set('/token', () => ({ body: { access_token: 'access-2', token_type: 'bearer' } }))
    const { send } = refreshOf(world, { client: { clientId: 'mine' } })
    expect(await send(bare({ token_endpoint: `${world.mcp.origin}/token` }), 'refresh-1')).toMatchObject({ access_token: 'access-2' })
    expect(world.mcp.seen.map(({ path }) => path)).toEqual(['/token'])
  })

  test('an endpoint without its issuer anywhere else receives nothing', async () => {
    await using evil = await scene()
    await using world = await scene()
    const { send } = refreshOf(world, { client: { clientId: 'mine' } })
    await expect(send(bare({ token_endpoint: `${evil.as.origin}/token` }), 'refresh-1')).rejects.toMatchObject(refused)
    expect(evil.as.seen).toEqual([])
    expect(world.as.at('/token')).toEqual([])
  })

  test('a record with an issuer alone goes where that issuer’s metadata says, while the resource still names it', async () => {
    const { world, record } = await loggedIn()
    await using _world = world
    const { send } = refreshOf(world, { client: { clientId: 'mine' } })
    await send(bare({ issuer: world.as.origin }), record.refresh_token as string)
    expect(world.as.at('/token')).toHaveLength(1)
    await expect(send(bare({ issuer: 'https://as.example.com' }), 'refresh-1')).rejects.toMatchObject(refused)
    expect(world.as.at('/token')).toHaveLength(1)
  })

  test('a record without any origin goes only to the MCP server’s own, as before 2025-06-18', async () => {
    await using world = await scene()
    world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
    world.mcp.overrides.set('/token', () => ({ body: { access_token: 'access-2', token_type: 'bearer' } }))
    const { send } = refreshOf(world, { client: { clientId: 'mine' } })
    expect(await send(bare(), 'refresh-1')).toMatchObject({ access_token: 'access-2' })
    expect(world.mcp.at('/token')).toHaveLength(1)
    expect(world.as.seen).toEqual([])
  })
})
