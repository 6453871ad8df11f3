// A 401 at every place at which an SDK sends a request.
import { describe, expect, test } from 'vitest'
import type { McpServerV1 } from '../servers/index.ts'
import { openScene, roads, statefulRoads } from './roads.ts'

describe.each(roads)('$name', (road) => {
  test('T7 a 401 in the middle of a session costs one refresh and nobody notices', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    expect(await client.call('echo', { text: 'before' })).toBe('before')
    scene.server.expire()
    expect(await client.call('echo', { text: 'after' })).toBe('after')
    expect(scene.server.refusals.POST).toBe(1)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
    expect(client.errors).toEqual([])
  })

  test('a 401 at the first request of a connection is mended there', async () => {
    await using scene = await openScene(road)
    scene.server.expire()
    await using client = await scene.connect()
    expect(await client.call('whoami')).toContain('"sub":"alice"')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
    expect(scene.server.refusals[road.transport === 'sse' ? 'SSE' : 'POST']).toBe(1)
  })

  test('N23 the refresh says for which resource, and the token is for it', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    await client.call('whoami')
    expect(scene.as.ledger.tokenRequests).toMatchObject([{ grant_type: 'refresh_token', resource: scene.url.href }])
  })

  test('N25 every request carries the token in its header and none in its URL', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    await client.call('echo', { text: 'x' })
    expect(scene.server.requests.length).toBeGreaterThan(1)
    for (const { headers, path } of scene.server.requests) {
      expect(headers.authorization).toMatch(/^Bearer ey/)
      expect(path).not.toContain((headers.authorization as string).slice('Bearer '.length))
    }
  })
})

describe.each(statefulRoads)('$name', (road) => {
  test('a 401 at the GET stream is mended and the stream delivers', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    const server = scene.server as McpServerV1
    await expect.poll(() => server.openStreams).toBe(1)
    server.expire()
    server.dropStreams()
    await expect.poll(() => server.refusals.GET).toBe(1)
    await expect.poll(() => server.openStreams).toBe(1)
    await server.announce('still there')
    await expect.poll(() => client.announcements).toEqual(['still there'])
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })

  test('a 401 at the DELETE is mended and the session ends', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    const server = scene.server as McpServerV1
    expect(server.sessions).toBe(1)
    server.expire()
    await client.terminate()
    expect(server.sessions).toBe(0)
    expect(server.refusals.DELETE).toBe(1)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })
})
