import { once } from 'node:events'
import { expect, test } from 'vitest'
import { fileLock } from '../src/index.ts'
import { createSignalShield, signalShield } from '../src/signal-shield.ts'
import { temporaryFolder } from './temporary-folder.ts'

test('two copies of this package share one shield', () => {
  expect(signalShield()).toBe(signalShield())
  expect((globalThis as Record<symbol, unknown>)[Symbol.for('mcpauth.signal-shield.1')]).toBe(signalShield())
})

test('the shield that was raised twice falls with the second, and passes the signal on to whom it was meant for, once', async () => {
  const shield = createSignalShield()
  const heard: string[] = []
  const host = (signal: string): void => void heard.push(signal)
  process.on('SIGHUP', host)
  const first = shield.raise()
  const second = shield.raise()
  const arrived = once(process, 'SIGHUP')
  process.kill(process.pid, 'SIGHUP')
  await arrived
  first()
  first()
  expect(heard).toEqual([])
  second()
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(heard).toEqual(['SIGHUP'])
  process.removeListener('SIGHUP', host)
})

test('a signal is held back no longer than the cap, also while the work goes on', async () => {
  const shield = createSignalShield({ capMs: 20 })
  const heard: string[] = []
  const host = (signal: string): void => void heard.push(signal)
  process.on('SIGHUP', host)
  const lower = shield.raise()
  process.kill(process.pid, 'SIGHUP')
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(heard).toEqual(['SIGHUP'])
  lower()
  expect(process.rawListeners('SIGHUP')).toContain(host)
  process.removeListener('SIGHUP', host)
})

test('signals wait for a write, and never for a login', async () => {
  const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
  const lock = fileLock({ root: temporaryFolder() })
  const listeners = (): unknown[] => process.rawListeners('SIGTERM')
  const before = listeners()
  expect(await lock.hold(key, async () => listeners(), { deadlineMs: 0 })).not.toEqual(before)
  expect(await lock.hold({ ...key, kind: 'login' }, async () => listeners(), { deadlineMs: 0 })).toEqual(before)
  expect(listeners()).toEqual(before)
})
