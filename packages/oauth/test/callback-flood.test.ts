import { expect, test } from 'vitest'
import { listenForCallback } from '../src/loopback-server.ts'

test('T10: 10,000 junk callbacks, then the real one', async () => {
  const server = await listenForCallback()
  const callback = server.callback('right', new AbortController().signal)
  const junk = async (lane: number): Promise<void> => {
    for (let i = 0; i < 400; i += 1) {
      const { status } = await fetch(`${server.redirectUri}?code=junk${lane}.${i}&state=wrong${lane}.${i}`)
      if (status !== 400) throw new Error(`junk was answered with ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 25 }, (_, lane) => junk(lane)))
  const tab = fetch(`${server.redirectUri}?code=real&state=right`)
  expect((await callback).get('code')).toBe('real')
  server.close()
  await tab
})
