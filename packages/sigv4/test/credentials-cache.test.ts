import { expect, it } from 'vitest'
import type { AwsCredentials, CredentialsSource } from '../src/credentials.ts'
import { credentialsCache, type HeldCredentials } from '../src/credentials-cache.ts'

const hour = 3_600_000

/** A source that answers when it is told to. */
function heldSource(): CredentialsSource & { calls: number; answer(credentials: AwsCredentials): Promise<void>; fail(): Promise<void> } {
  let waiting: PromiseWithResolvers<AwsCredentials> | undefined
  const source = {
    name: 'a test',
    calls: 0,
    fetch: () => {
      source.calls += 1
      waiting = Promise.withResolvers()
      return waiting.promise
    },
    async answer(credentials: AwsCredentials) {
      waiting?.resolve(credentials)
      await settled()
    },
    async fail() {
      waiting?.reject(new Error('no'))
      await settled()
    }
  }
  return source
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function session(name: string, expiration?: number): AwsCredentials {
  return {
    accessKeyId: name,
    secretAccessKey: `secret of ${name}`,
    ...(expiration === undefined ? {} : { expiration: new Date(expiration) })
  }
}

function idOf(held: HeldCredentials | Promise<HeldCredentials>): string {
  expect(held).not.toBeInstanceOf(Promise)
  return (held as HeldCredentials).credentials.accessKeyId
}

it('asks once for many requests, and answers at once from then on', async () => {
  const source = heldSource()
  const cache = credentialsCache(source, () => 0)
  const waiting = [cache.current(), cache.current(), cache.current()]
  await source.answer(session('A'))
  expect((await Promise.all(waiting)).map(({ generation }) => generation)).toEqual([1, 1, 1])
  expect(idOf(cache.current())).toBe('A')
  expect(source.calls).toBe(1)
})

it('renews five minutes before the end, behind the requests, with one fetch', async () => {
  let time = 0
  const source = heldSource()
  const cache = credentialsCache(source, () => time)
  void cache.current()
  await source.answer(session('A', hour))
  time = hour - 5 * 60_000 - 1
  void cache.current()
  expect(source.calls).toBe(1)
  time += 1
  expect([idOf(cache.current()), idOf(cache.current())]).toEqual(['A', 'A'])
  expect(source.calls).toBe(2)
  await source.answer(session('B', 2 * hour))
  expect(idOf(cache.current())).toBe('B')
})

it('renews a short session in the last fifth of its life only', async () => {
  let time = 0
  const source = heldSource()
  const cache = credentialsCache(source, () => time)
  void cache.current()
  await source.answer(session('A', 10_000))
  time = 7_999
  void cache.current()
  expect(source.calls).toBe(1)
  time = 8_000
  void cache.current()
  expect(source.calls).toBe(2)
})

it('makes requests wait once the session has ended', async () => {
  let time = 0
  const source = heldSource()
  const cache = credentialsCache(source, () => time)
  void cache.current()
  await source.answer(session('A', hour))
  time = hour
  const waiting = cache.current()
  expect(waiting).toBeInstanceOf(Promise)
  await source.answer(session('B', 2 * hour))
  expect(idOf(await waiting)).toBe('B')
})

it('goes on with what is valid when a renewal fails, tries again after a pause, and fails only once it has ended', async () => {
  let time = 0
  const source = heldSource()
  const cache = credentialsCache(source, () => time)
  void cache.current()
  await source.answer(session('A', hour))
  time = hour - 60_000
  expect(idOf(cache.current())).toBe('A')
  await source.fail()
  expect(idOf(cache.current())).toBe('A')
  expect(source.calls).toBe(2)
  time += 30_000
  expect(idOf(cache.current())).toBe('A')
  expect(source.calls).toBe(3)
  await source.fail()
  time = hour
  const waiting = Promise.resolve(cache.current())
  const outcome = expect(waiting).rejects.toThrow('no')
  await source.fail()
  await outcome
  expect(source.calls).toBe(4)
})

it('does not ask in a loop when the source gives what has ended already', async () => {
  let time = hour
  const source = heldSource()
  const cache = credentialsCache(source, () => time)
  void cache.current()
  await source.answer(session('A', hour - 1))
  expect(idOf(cache.current())).toBe('A')
  time += 29_999
  expect(idOf(cache.current())).toBe('A')
  expect(source.calls).toBe(1)
})

it('gives a late refusal what has replaced the refused credentials, without asking', async () => {
  const source = heldSource()
  const cache = credentialsCache(source, () => 0)
  const first = cache.current()
  await source.answer(session('A'))
  const refused = await first
  const renewals = [cache.renew(refused), cache.renew(refused)]
  await source.answer(session('B'))
  expect((await Promise.all(renewals)).map(idOf)).toEqual(['B', 'B'])
  expect(idOf(await cache.renew(refused))).toBe('B')
  expect(source.calls).toBe(2)
})

it('keeps the generation when the source gives the same keys again', async () => {
  const source = heldSource()
  const cache = credentialsCache(source, () => 0)
  const first = cache.current()
  await source.answer(session('A'))
  const renewal = cache.renew(await first)
  await source.answer(session('A'))
  expect((await renewal).generation).toBe(1)
})
