import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { type FaultPoint, fileStore } from '../src/index.ts'
import { type Child, startChild } from './processes/child.ts'
import { temporaryFolder } from './temporary-folder.ts'

const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
const generation = async (root: string): Promise<unknown> => (await fileStore({ root }).read(key))?.generation
const leftovers = (root: string): string[] => readdirSync(root).filter((file) => /\.(tmp|lock)$/.test(file))
const done = (children: Child[]): Promise<unknown> => Promise.all(children.map((child) => child.said('done')))

test('T8: eight processes of five writes each lose none', async () => {
  const root = temporaryFolder()
  await done(Array.from({ length: 8 }, () => startChild({ root, key, action: 'count', rounds: 5 })))
  expect(await generation(root)).toBe(40)
  expect(leftovers(root)).toEqual([])
})

test('T8: without node:sqlite, eight processes of five writes each lose none either', async () => {
  const root = temporaryFolder()
  await done(Array.from({ length: 8 }, () => startChild({ root, key, action: 'count', rounds: 5, noKernelLock: true })))
  expect(await generation(root)).toBe(40)
})

test('T8: threads of one process exclude each other', async () => {
  const root = temporaryFolder()
  const source = `
    import { parentPort } from 'node:worker_threads'
    import { fileStore } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
    const store = fileStore({ root: ${JSON.stringify(root)} })
    for (let round = 0; round < 10; round += 1) {
      await store.transact(${JSON.stringify(key)}, async (held) => {
        const record = await held.read()
        await held.write({ ...record, generation: (record?.generation ?? 0) + 1 })
      }, { deadlineMs: 60_000 })
    }
    parentPort.postMessage('done')`
  const threads = Array.from({ length: 4 }, () => new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`)))
  await Promise.all(threads.map((thread) => new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject))))
  expect(await generation(root)).toBe(40)
})

/** Whether the write is on disk when a process dies at this point. */
const points: [FaultPoint | 'working', number][] = [
  ['lock-taken', 1],
  ['working', 1],
  ['temp-written', 1],
  ['temp-synced', 1],
  ['renamed', 2],
  ['before-release', 2]
]

describe.each(points)('T8: at %s', (point, expected) => {
  test(`T8: a SIGKILL at ${point} leaves a whole record, a free lock and nothing else`, async () => {
    const root = temporaryFolder()
    await fileStore({ root }).transact(key, (held) => held.write({ access_token: 'first', generation: 1 }), { deadlineMs: 1_000 })
    const victim = startChild({ root, key, action: 'count', fault: { point, and: 'SIGKILL' } })
    expect(await victim.ended).toMatchObject({ signal: 'SIGKILL' })
    expect(await generation(root)).toBe(expected)
    // A deadline of zero: the lock of the dead is free at once.
    await fileStore({ root }).transact(key, async () => undefined, { deadlineMs: 0 })
    expect(leftovers(root)).toEqual([])
    await done([startChild({ root, key, action: 'count' })])
    expect(await generation(root)).toBe(expected + 1)
  })

  test(`T8: a SIGSTOP at ${point} for longer than the stale time lets nobody else in, and nothing is lost after SIGCONT`, async () => {
    const root = temporaryFolder()
    await fileStore({ root }).transact(key, (held) => held.write({ access_token: 'first', generation: 1 }), { deadlineMs: 1_000 })
    const stopped = startChild({ root, key, action: 'count', staleMs: 100, fault: { point, and: 'SIGSTOP' } })
    await stopped.said('at')
    // Three times the stale time, waited out by somebody who wants the lock.
    const impatient = fileStore({ root, staleMs: 100 }).transact(key, async () => undefined, { deadlineMs: 300 })
    await expect(impatient).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining(String(stopped.pid)) })
    const patient = startChild({ root, key, action: 'count', staleMs: 100 })
    stopped.kill('SIGCONT')
    await done([stopped, patient])
    expect(await generation(root)).toBe(3)
    expect(leftovers(root)).toEqual([])
  })
})

test('T8: while one of many is killed in the middle, again and again, no write of the others is lost', async () => {
  const root = temporaryFolder()
  const workers = Array.from({ length: 4 }, () => startChild({ root, key, action: 'count', rounds: 8 }))
  for (let victims = 0; victims < 6; victims += 1) {
    await startChild({ root, key, action: 'count', fault: { point: 'working', and: 'SIGKILL' } }).ended
  }
  await done(workers)
  expect(await generation(root)).toBe(32)
})

describe('signals in the critical section', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('T8: %s waits for the write and then ends the process as before', async (signal) => {
    const root = temporaryFolder()
    const child = startChild({ root, key, action: 'count', fault: { point: 'working', and: 'wait' } })
    await child.said('at')
    child.kill(signal)
    child.say('go')
    expect(await child.ended).toMatchObject({ signal, code: null })
    expect(await generation(root)).toBe(1)
    expect(leftovers(root)).toEqual([])
  })

  test('T8: a host that calls process.exit in a listener of its own loses no write, and its listeners run in their order', async () => {
    const root = temporaryFolder()
    const child = startChild({ root, key, action: 'signals' })
    await child.said('holding')
    child.kill('SIGTERM')
    child.say('go')
    expect(await child.ended).toMatchObject({ code: 7 })
    expect(await generation(root)).toBe(2)
    const { readFileSync } = await import('node:fs')
    expect(readFileSync(join(root, 'order'), 'utf8')).toBe('first,second')
    expect(leftovers(root)).toEqual([])
  })

  test('T8: a second Ctrl-C ends the process at once', async () => {
    const root = temporaryFolder()
    const child = startChild({ root, key, action: 'count', fault: { point: 'working', and: 'wait' } })
    await child.said('at')
    child.kill('SIGINT')
    // Two of one kind that are pending at once are one signal: repeat until it has gone.
    const again = setInterval(() => child.kill('SIGINT'), 20)
    expect(await child.ended).toMatchObject({ signal: 'SIGINT' })
    clearInterval(again)
    expect(await generation(root)).toBeUndefined()
    await fileStore({ root }).transact(key, async () => undefined, { deadlineMs: 0 })
  })

  test('outside the critical section nothing is installed, and a login is never shielded', async () => {
    const store = fileStore({ root: temporaryFolder() })
    const counts = (): number[] => (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => process.listenerCount(signal))
    const before = counts()
    const handler = (): void => undefined
    process.on('SIGTERM', handler)
    const listening = async (): Promise<readonly unknown[]> => process.rawListeners('SIGTERM')
    const during = await store.transact(key, listening, { deadlineMs: 1_000 })
    expect(during).toHaveLength(1)
    expect(during).not.toContain(handler)
    expect(process.rawListeners('SIGTERM')).toContain(handler)
    const duringLogin = await store.transact({ kind: 'login', url: key.url }, listening, { deadlineMs: 1_000 })
    expect(duringLogin).toContain(handler)
    process.removeListener('SIGTERM', handler)
    expect(counts()).toEqual(before)
  })
})
