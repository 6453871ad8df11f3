import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { oauthTokens } from '@mcpauth/oauth'
import { fileStore, memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { endFleet, startAgent, startFleet } from '../stress/fleet.ts'
import { startWorld, type World } from '../stress/world.ts'

/** The helper processes that work for a world, as the system lists them. */
function helpers(world: World): { pid: number; cmdline: string; environ: string }[] {
  const found: { pid: number; cmdline: string; environ: string }[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const cmdline = readFileSync(`/proc/${name}/cmdline`, 'utf8')
      if (!cmdline.includes('refresh-helper')) continue
      const environ = readFileSync(`/proc/${name}/environ`, 'utf8')
      if (environ.includes(`STRESS_WORLD=${world.root}`)) found.push({ pid: Number(name), cmdline, environ })
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}

/** A world whose processes can be told from those of other tests, with a refresh that waits at the server. */
async function held(): Promise<{ world: World; hits: () => number; release: () => void }> {
  const world = await startWorld()
  process.env.STRESS_WORLD = world.root
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const hold = world.authorizationServer.fault('token', { kind: 'hold', until: released }, { times: 1 })
  return { world, hits: () => hold.hits, release }
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(5)
}

test('T8: with refreshIsolation, a process killed after its request was sent loses nothing on a server without grace', async () => {
  const { world, hits, release } = await held()
  await using _ = world
  const task = { server: world.server.href, root: world.root, staleMs: 1_000, refreshIsolation: 'process' } as const
  const victim = await startAgent(task)
  world.expire()
  const call = victim.order({ do: 'call' })
  await until(() => hits() === 1)
  await victim.end()
  expect(await call).toBeUndefined()
  release()
  const next = await startAgent(task)
  expect(await next.order({ do: 'call' })).toMatchObject({ ok: true })
  await next.end()
  expect(world.authorizationServer.ledger).toMatchObject({ refreshes: 1, reuses: 0, revokedGrants: 0 })
})

test('T8: of many processes, one starts a helper, and no secret is in its arguments or its environment', async () => {
  const { world, hits, release } = await held()
  await using _ = world
  const fleet = await startFleet(4, { server: world.server.href, root: world.root, staleMs: 1_000, refreshIsolation: 'process' })
  const before = await world.store.read(world.key)
  world.expire()
  const calls = Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
  await until(() => hits() === 1)
  const running = helpers(world)
  expect(running).toHaveLength(1)
  for (const secret of [before?.access_token, before?.refresh_token]) {
    expect(running[0]?.cmdline).not.toContain(secret)
    expect(running[0]?.environ).not.toContain(secret)
  }
  release()
  expect((await calls).every((report) => report?.ok)).toBe(true)
  expect(world.authorizationServer.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  await until(() => helpers(world).length === 0)
  await endFleet(fleet)
})

test('what a helper was refused is the same error as without one', async () => {
  await using world = await startWorld()
  const agent = await startAgent({ server: world.server.href, root: world.root, staleMs: 1_000, refreshIsolation: 'process' })
  world.expire()
  world.authorizationServer.fault('token', { kind: 'status', status: 503 }, { times: 1 })
  expect(await agent.order({ do: 'call' })).toMatchObject({
    ok: false,
    code: 'MCPAUTH_OAUTH_RESPONSE',
    message: expect.stringContaining('503')
  })
  expect(await agent.order({ do: 'call' })).toMatchObject({ ok: true })
  world.expire()
  const fault = world.authorizationServer.fault('token', {
    kind: 'status',
    status: 400,
    body: '{"error":"invalid_grant"}'
  })
  expect(await agent.order({ do: 'call' })).toMatchObject({ ok: false, code: 'MCPAUTH_LOGIN_REQUIRED' })
  fault.clear()
  expect(await world.store.read(world.key)).not.toHaveProperty('refresh_token')
  await agent.end()
})

test('refreshIsolation needs a store and a road that another process can open too', () => {
  const server = 'https://mcp.example.com/mcp'
  const refused = expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('refreshIsolation') })
  expect(() => oauthTokens(server, { refreshIsolation: 'process', store: memoryStore() })).toThrow(refused)
  expect(() =>
    oauthTokens(server, { refreshIsolation: 'process', store: fileStore({ root: '/x' }), dispatcher: { dispatch: () => true } })
  ).toThrow(refused)
  expect(() => oauthTokens(server, { refreshIsolation: 'thread' as 'process' })).toThrow(refused)
  oauthTokens(server, { refreshIsolation: 'process', store: fileStore({ root: '/x' }) })
})
