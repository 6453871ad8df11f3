import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startAgent } from '../stress/fleet.ts'
import { startWorld } from '../stress/world.ts'

test('T8: a SIGTERM in the middle of a refresh waits for its COMMIT, and then ends the process', async () => {
  await using world = await startWorld({}, 'postgres')
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const task = world.agentTask(1_000)
  const agent = await startAgent(task)
  expect(await agent.order({ do: 'call' })).toMatchObject({ ok: true })
  const before = await world.store.read(world.key)
  const hold = world.authorizationServer.fault('token', { kind: 'hold', until: released }, { times: 1 })
  world.expire()
  const call = agent.order({ do: 'call' })
  while (hold.hits === 0) await sleep(5)
  process.kill(agent.pid, 'SIGTERM')
  release()
  expect(await call).toBeUndefined()
  expect(agent.alive).toBe(false)
  expect(await world.store.read(world.key)).toMatchObject({ generation: (before?.generation ?? 0) + 1 })
  const next = await startAgent(task)
  expect(await next.order({ do: 'call' })).toMatchObject({ ok: true })
  await next.end()
  expect(world.authorizationServer.ledger).toMatchObject({ refreshes: 1, reuses: 0, revokedGrants: 0 })
})

test('while a row is held the host’s listeners are aside; while a person logs in they stay, and afterwards they are back', async () => {
  await using world = await startWorld({}, 'postgres')
  const host = (): void => undefined
  process.on('SIGTERM', host)
  const during: (readonly unknown[])[] = []
  const look = async (): Promise<void> => void during.push(process.listeners('SIGTERM'))
  await world.store.transact({ ...world.key, kind: 'login' } as never, look, { deadlineMs: 5_000 })
  await world.store.transact(
    world.key,
    async () => {
      await world.store.transact({ kind: 'server', url: 'https://other.example/mcp' }, look, { deadlineMs: 5_000 })
      await look()
    },
    { deadlineMs: 5_000 }
  )
  expect(during.map((listeners) => listeners.includes(host))).toEqual([true, false, false])
  expect(process.listeners('SIGTERM')).toContain(host)
  process.off('SIGTERM', host)
})
