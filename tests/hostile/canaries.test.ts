import { authFetch, type FetchLike } from '@mcpauth/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { everythingOf, leaksIn } from './canary.ts'
import { type CredentialSlot, credentialSlots, grantedToken } from './credential-slots.ts'
import { type EchoingServer, moods, startEchoingServer } from './echoing-server.ts'
import { type Sinks, watchSinks } from './sinks.ts'
import { closeStores } from './store-slots.ts'

let server: EchoingServer
let sinks: Sinks
beforeAll(async () => {
  server = await startEchoingServer(grantedToken)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await closeStores()
})
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => sinks[Symbol.dispose]())

/** Sends one request and gives back everything that came out besides the answer. */
async function exercise(slot: CredentialSlot, send: (fetch: FetchLike) => Promise<unknown>): Promise<string> {
  const log: string[] = []
  const layers = await slot.make(server.url, (line) => log.push(line))
  await using fetch = authFetch(layers)
  let thrown: unknown
  try {
    await send(fetch)
  } catch (error) {
    thrown = error
  }
  // The layers themselves are looked at too: someone will log them.
  return [everythingOf(thrown), everythingOf(layers), everythingOf(fetch), sinks.text(), ...log].join('\n')
}

const post = async (fetch: FetchLike): Promise<unknown> => {
  const answer = await fetch(server.url, { method: 'POST', body: '{"jsonrpc":"2.0"}', headers: { 'content-type': 'application/json' } })
  return await answer.text()
}

describe.each(credentialSlots.map((slot) => [slot.title, slot] as const))('T13: %s leaks nothing', (_title, slot) => {
  const canaries = { ...slot.canaries, grantedToken }

  test.each(moods)('when the server %s, and says back all it was sent', async (mood) => {
    server.mood = mood
    server.tokenMood = 'grants'
    const seen = await exercise(slot, post)
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test.each(moods.filter((mood) => mood !== 'accepts'))('when it refuses and its token endpoint %s', async (mood) => {
    server.mood = 'refuses'
    server.tokenMood = mood
    const seen = await exercise(slot, post)
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('when the caller gives up', async () => {
    server.mood = 'refuses'
    server.tokenMood = 'grants'
    const seen = await exercise(slot, (fetch) => {
      const abort = new AbortController()
      const answer = fetch(server.url, { method: 'POST', body: '{}', signal: abort.signal })
      abort.abort(new Error('gone'))
      return answer
    })
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('and the secrets really were on the wire', () => {
    const received = server.received()
    for (const name of slot.sent) expect(leaksIn(received, slot.canaries), name).toContain(name)
  })
})

test('the search would find a leak: in a message, a hidden property, a cause, base64 inside base64, hex', () => {
  const canaries = { c: 'canary-that-is-long-enough-to-be-found' }
  const hidden = Object.defineProperty(new Error('x'), 'token', { value: canaries.c })
  for (const value of [
    new Error(canaries.c),
    hidden,
    new Error('x', { cause: new Error(canaries.c) }),
    { a: [Buffer.from(`user:${canaries.c}`).toString('base64')] },
    Buffer.from(canaries.c).toString('hex').toUpperCase(),
    new Map([['k', { deep: { deeper: { deepest: { end: canaries.c } } } }]]),
    new Headers({ a: canaries.c })
  ]) {
    expect(leaksIn(everythingOf(value), canaries)).toEqual(['c'])
  }
})
