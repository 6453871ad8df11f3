// Expiry by the clock, without any switch at the server.
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { openScene, type Road, roads } from './roads.ts'

const [road] = roads as [Road]
const hour = 60 * 60 * 1000

describe('a token of 5 seconds', () => {
  test('really runs out, and the next call has another one before it is sent', async () => {
    await using scene = await openScene(road, { as: { accessTokenTtlSeconds: 5 } })
    await using client = await scene.connect()
    expect(await client.call('echo', { text: 'fresh' })).toBe('fresh')
    expect(scene.as.ledger.refreshes).toBe(0)
    await delay(5_500)
    expect(await client.call('echo', { text: 'later' })).toBe('later')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
    expect(scene.server.refusals.POST).toBe(0)
  })

  test('is refused by the server where the client’s clock stands still, and renewed', async () => {
    const start = Date.now()
    await using scene = await openScene(road, { as: { accessTokenTtlSeconds: 5 }, oauth: { now: () => start } })
    await using client = await scene.connect()
    await delay(6_500)
    expect(await client.call('echo', { text: 'later' })).toBe('later')
    expect(scene.server.refusals.POST).toBe(1)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })
})

describe('T17 a clock that jumps', () => {
  test.each([
    ['an hour ahead', hour],
    ['a day ahead', 24 * hour]
  ])('%s makes the token expire once', async (_, jump) => {
    let offset = 0
    await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
    await using client = await scene.connect()
    await client.call('echo', { text: 'x' })
    expect(scene.as.ledger.refreshes).toBe(0)
    offset = jump
    await Promise.all(['a', 'b', 'c'].map((text) => client.call('echo', { text })))
    await client.call('echo', { text: 'd' })
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
    expect(scene.server.refusals.POST).toBe(0)
  })

  test.each([
    ['an hour back', -hour],
    ['a day back', -24 * hour]
  ])('%s changes nothing until the server refuses the token', async (_, jump) => {
    let offset = 0
    await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
    await using client = await scene.connect()
    offset = jump
    await Promise.all(['a', 'b', 'c'].map((text) => client.call('echo', { text })))
    expect(scene.as.ledger.refreshes).toBe(0)
    scene.server.expire()
    await Promise.all(['a', 'b', 'c'].map((text) => client.call('echo', { text })))
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })

  test('back and ahead again does not refresh twice at once', async () => {
    let offset = 0
    await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
    await using client = await scene.connect()
    for (const jump of [hour, -hour, hour, 24 * hour, -24 * hour]) {
      offset = jump
      await Promise.all(['a', 'b', 'c'].map((text) => client.call('echo', { text })))
    }
    expect(scene.as.ledger.reuses).toBe(0)
    expect([...scene.as.ledger.uses.values()].every((uses) => uses === 1)).toBe(true)
  })
})
