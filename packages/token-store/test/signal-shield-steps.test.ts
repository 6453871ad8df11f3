import { EventEmitter } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createSignalShield, type SignalHost } from '../src/signal-shield.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A process with two listeners of its host's own; `passed` are the signals that were sent on to it, `heard` what its listeners got. */
function world() {
  const heard: string[] = []
  const passed: unknown[] = []
  const emitter = new EventEmitter()
  const host = Object.assign(emitter, {
    pid: 4_711,
    kill(pid: number, signal: string) {
      passed.push([pid, signal])
      emitter.emit(signal, signal)
    }
  })
  for (const signal of signals) {
    host.on(signal, () => heard.push(`first ${signal}`))
    host.once(signal, () => heard.push(`once ${signal}`))
  }
  // Without a listener a signal ends the process.
  host.on('removeListener', (signal: string) => expect(host.listenerCount(signal)).toBeGreaterThan(0))
  const listeners = (): unknown[] => signals.map((signal) => host.rawListeners(signal))
  return { host: host as EventEmitter & SignalHost, heard, passed, listeners, before: listeners() }
}

function stoppedClock(): void {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
}

test('T9: while the shield is up, the listeners of the host are aside, and then in their order again', () => {
  const { host, heard, passed, listeners, before } = world()
  const lower = createSignalShield({ host, hears: true }).raise()
  for (const [index, own] of listeners().entries()) expect(own).not.toEqual(before[index])
  for (const own of listeners()) expect(own).toHaveLength(1)
  lower()
  expect(listeners()).toEqual(before)
  expect([heard, passed]).toEqual([[], []])
})

test.each(signals)('T9: %s waits until the shield is down, and goes on once, to whom it was meant for', (signal) => {
  stoppedClock()
  const { host, heard, passed } = world()
  const lower = createSignalShield({ host, hears: true }).raise()
  host.emit(signal, signal)
  expect([heard, passed]).toEqual([[], []])
  lower()
  lower()
  expect(passed).toEqual([[4_711, signal]])
  expect(heard).toEqual([`first ${signal}`, `once ${signal}`])
  expect(vi.getTimerCount()).toBe(0)
})

test('T9: of several who raise the shield the last one lowers it, whoever says so twice', () => {
  const { host, passed, listeners, before } = world()
  const shield = createSignalShield({ host, hears: true })
  const [first, second, third] = [shield.raise(), shield.raise(), shield.raise()]
  host.emit('SIGTERM', 'SIGTERM')
  first()
  first()
  second()
  first()
  expect(passed).toEqual([])
  third()
  expect(passed).toHaveLength(1)
  expect(host.listenerCount('SIGINT')).toBe((before[0] as unknown[]).length)
  const again = shield.raise()
  for (const own of listeners()) expect(own).toHaveLength(1)
  again()
  expect(host.listenerCount('SIGINT')).toBe((before[0] as unknown[]).length)
})

test('T9: the same signal a second time is obeyed at once, and the end of the work adds nothing', () => {
  const { host, passed, heard } = world()
  const lower = createSignalShield({ host, hears: true }).raise()
  host.emit('SIGINT', 'SIGINT')
  host.emit('SIGINT', 'SIGINT')
  expect(passed).toEqual([[4_711, 'SIGINT']])
  lower()
  expect(passed).toHaveLength(1)
  expect(heard).toEqual(['first SIGINT', 'once SIGINT'])
})

test('T9: of two different signals the first one goes on when the work is done', () => {
  const { host, passed } = world()
  const lower = createSignalShield({ host, hears: true }).raise()
  host.emit('SIGINT', 'SIGINT')
  host.emit('SIGTERM', 'SIGTERM')
  expect(passed).toEqual([])
  lower()
  expect(passed).toEqual([[4_711, 'SIGINT']])
})

test.each([
  ['as long as was said', { capMs: 40 }, 40],
  ['five seconds', {}, 5_000]
])('T9: a signal waits no longer than %s, from when it came', (_what, options, capMs) => {
  stoppedClock()
  const { host, passed, listeners } = world()
  const shield = createSignalShield({ host, hears: true, ...options })
  const lower = shield.raise()
  vi.advanceTimersByTime(10_000)
  host.emit('SIGTERM', 'SIGTERM')
  vi.advanceTimersByTime(capMs - 1)
  host.emit('SIGHUP', 'SIGHUP')
  expect(passed).toEqual([])
  vi.advanceTimersByTime(1)
  expect(passed).toEqual([[4_711, 'SIGTERM']])
  expect(vi.getTimerCount()).toBe(0)
  // Who still works goes on without a shield; who begins now has one.
  for (const own of listeners()) expect((own as unknown[]).length).toBeLessThanOrEqual(2)
  const next = shield.raise()
  for (const own of listeners()) expect(own).toHaveLength(1)
  lower()
  next()
  expect(passed).toHaveLength(1)
})

test('where no signals come, as in a worker thread, there is nothing to hold back', () => {
  const { host, listeners, before } = world()
  const lower = createSignalShield({ host, hears: false }).raise()
  expect(listeners()).toEqual(before)
  lower()
  expect(listeners()).toEqual(before)
})
