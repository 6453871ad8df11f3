// What happens to connections that live longer than a token, a server or a caller's patience.
import { randomBytes } from 'node:crypto'
import { authFetch } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { describe, expect, test } from 'vitest'
import { openScene, type Road, roads } from './roads.ts'

describe.each(roads)('$name', (road) => {
  test('a token that expires in the middle of a call does not disturb it; the next call refreshes', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    const progress: number[] = []
    const call = client.call('wait', {}, { onprogress: ({ progress: step }) => void progress.push(step) })
    await scene.server.waiting.arrived()
    // Answered as JSON there is no stream on which progress could come.
    if (!road.name.includes('JSON')) await expect.poll(() => progress).toEqual([1])
    scene.server.expire()
    scene.server.waiting.release()
    expect(await call).toBe('waited')
    expect(scene.as.ledger.refreshes).toBe(0)
    expect(await client.call('echo', { text: 'next' })).toBe('next')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })

  test('a body of 1 MiB is sent again whole', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    const text = randomBytes(768 * 1024).toString('base64')
    expect(text).toHaveLength(1024 * 1024)
    scene.server.expire()
    const answer = await client.call('echo', { text })
    // Compared outside of expect, which would print both.
    expect(answer === text).toBe(true)
    const bodies = scene.server.requests.map(({ body }) => body).filter((body) => (body?.length ?? 0) > text.length)
    expect(bodies).toHaveLength(2)
    expect(bodies[0] === bodies[1]).toBe(true)
    expect(scene.as.ledger.refreshes).toBe(1)
  })

  test('a restarted MCP server costs no token', async () => {
    await using scene = await openScene(road)
    await using before = await scene.connect()
    await before.call('echo', { text: 'x' })
    await scene.server.restart()
    await using after = await scene.connect()
    expect(await after.call('echo', { text: 'again' })).toBe('again')
    expect(scene.as.ledger).toMatchObject({ refreshes: 0, logins: 0, registrations: 0 })
  })

  test('a restarted authorization server is asked over a new connection', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    await client.call('echo', { text: 'first' })
    await scene.as.restart()
    scene.server.expire()
    expect(await client.call('echo', { text: 'second' })).toBe('second')
    expect(scene.as.ledger).toMatchObject({ refreshes: 2, reuses: 0 })
  })

  test('a caller that gives up leaves the refresh to the others', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    const answer = Promise.withResolvers<void>()
    const asked = scene.as.fault('token', { kind: 'hold', until: answer.promise }, { times: 1 })
    const giveUp = new AbortController()
    const stay = [client.call('echo', { text: 'one' }), client.call('echo', { text: 'three' })]
    const leaves = client.call('echo', { text: 'two' }, { signal: giveUp.signal })
    await expect.poll(() => [asked.hits, scene.server.refusals.POST]).toEqual([1, 3])
    giveUp.abort()
    await expect(leaves).rejects.toThrow()
    answer.resolve()
    expect(await Promise.all(stay)).toEqual(['one', 'three'])
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })
})

test('an aborted fetch is never sent again, and the refresh it waited for goes on', async () => {
  await using scene = await openScene(roads.find(({ name }) => name.includes('stateless')) as Road)
  await using fetch = authFetch(withOAuth(scene.url, scene.tokens))
  const ask = (id: number, signal?: AbortSignal): Promise<Response> =>
    fetch(scene.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list' }),
      ...(signal ? { signal } : {})
    })
  scene.server.expire()
  const answer = Promise.withResolvers<void>()
  const asked = scene.as.fault('token', { kind: 'hold', until: answer.promise }, { times: 1 })
  const giveUp = new AbortController()
  const others = [ask(1), ask(3)]
  const aborted = ask(2, giveUp.signal)
  await expect.poll(() => [asked.hits, scene.server.refusals.POST]).toEqual([1, 3])
  giveUp.abort()
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
  answer.resolve()
  for (const response of await Promise.all(others)) {
    expect(response.status).toBe(200)
    await response.text()
  }
  const sends = (id: number): number => scene.server.requests.filter(({ body }) => body?.includes(`"id":${id},`)).length
  expect([sends(1), sends(2), sends(3)]).toEqual([2, 1, 2])
  expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
})
