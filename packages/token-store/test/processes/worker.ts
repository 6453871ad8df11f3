import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpAuthError, type StoreKey } from '@mcpauth/core'
import { type FaultPoint, fileStore, type StoreProbe } from '../../src/index.ts'

/** What one process does. Everything it says goes to its parent as a message. */
export interface ChildTask {
  root?: string
  key: StoreKey
  action: 'count' | 'hold' | 'read' | 'write' | 'clear-generation' | 'signals' | 'stock-count'
  rounds?: number
  deadlineMs?: number
  staleMs?: number
  generation?: number
  /** Says `at` and then waits for `go`, dies or stops, at this point. */
  fault?: { point: FaultPoint | 'working'; and: 'SIGKILL' | 'SIGSTOP' | 'wait' }
  noKernelLock?: boolean
  umask?: number
  /** Becomes this user first, which only root can do. */
  uid?: number
}

const task = JSON.parse(process.argv[2] as string) as ChildTask
if (task.umask !== undefined) process.umask(task.umask)
if (task.uid !== undefined) {
  process.setgroups?.([])
  process.setgid?.(task.uid)
  process.setuid?.(task.uid)
}

function say(name: string, facts: Record<string, unknown> = {}): void {
  process.send?.({ name, ...facts })
}

function told(name: string): Promise<void> {
  return new Promise((resolve) => {
    process.on('message', function listen(message: { name: string }) {
      if (message.name !== name) return
      process.removeListener('message', listen)
      resolve()
    })
  })
}

async function reach(point: FaultPoint | 'working'): Promise<void> {
  if (task.fault?.point !== point) return
  // The message must be out before the process dies.
  await new Promise<void>((resolve) => process.send?.({ name: 'at', point }, undefined, {}, () => resolve()))
  if (task.fault.and === 'wait') await told('go')
  else process.kill(process.pid, task.fault.and)
  // A signal to oneself arrives at the latest with the next turn.
  await sleep(1)
}

const probe: StoreProbe = { at: reach }
if (task.noKernelLock) probe.kernelLocks = () => undefined
const store = fileStore({
  ...(task.root === undefined ? {} : { root: task.root }),
  ...(task.staleMs === undefined ? {} : { staleMs: task.staleMs }),
  probe
})
const options = { deadlineMs: task.deadlineMs ?? 60_000 }

/** Fails if another process is inside at the same time. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const marker = join(task.root as string, 'inside')
  closeSync(openSync(marker, 'wx'))
  try {
    return await work()
  } finally {
    unlinkSync(marker)
  }
}

const actions: Record<ChildTask['action'], () => Promise<unknown>> = {
  async count() {
    for (let round = 0; round < (task.rounds ?? 1); round += 1) {
      await store.transact(
        task.key,
        async (held) => {
          const record = await held.read()
          await reach('working')
          await held.write({ ...record, access_token: 'token', generation: (record?.generation ?? 0) + 1 })
        },
        options
      )
    }
  },
  async 'stock-count'() {
    const lockfile = await import('proper-lockfile')
    const { default: stock } = lockfile as unknown as { default: typeof lockfile }
    const stem = join(task.root as string, process.env.STEM as string)
    const retries = { retries: 10_000, factor: 1, minTimeout: 1, maxTimeout: 5 }
    for (let round = 0; round < (task.rounds ?? 1); round += 1) {
      const release = await stock.lock(stem, { realpath: false, stale: 60_000, retries })
      await alone(() => sleep(1))
      await release()
    }
  },
  async hold() {
    for (let round = 0; round < (task.rounds ?? 1); round += 1) {
      await store.transact(
        task.key,
        async (held) => {
          say('holding')
          await reach('working')
          if (task.rounds) await alone(() => sleep(1))
          say('looked', { lost: held.lost.aborted })
        },
        options
      )
    }
  },
  async read() {
    say('record', { record: await store.read(task.key) })
  },
  async write() {
    await store.transact(task.key, (held) => held.write({ access_token: 'written', generation: task.generation ?? 1 }), options)
  },
  /** What a process does whose refresh token was refused: it clears the generation it knows, and no other. */
  async 'clear-generation'() {
    say('ready')
    await told('go')
    await store.transact(
      task.key,
      async (held) => {
        const record = await held.read()
        say('seen', { generation: record?.generation })
        if (record?.generation === task.generation) await held.clear()
      },
      options
    )
  },
  /** A host with a listener of its own that ends the process at once. */
  async signals() {
    const order: string[] = []
    process.on('SIGTERM', () => order.push('first'))
    process.on('SIGTERM', () => {
      order.push('second')
      writeFileSync(join(task.root as string, 'order'), order.join())
      process.exit(7)
    })
    await store.transact(
      task.key,
      async (held) => {
        say('holding')
        await told('go')
        await held.write({ access_token: 'written in spite of the signal', generation: 2 })
      },
      options
    )
    await told('never')
  }
}

try {
  await actions[task.action]()
  say('done')
} catch (error) {
  const known = McpAuthError.is(error) ? { code: error.code, hint: error.hint } : {}
  await new Promise<void>((resolve) =>
    process.send?.({ name: 'failed', message: (error as Error).message, ...known }, undefined, {}, () => resolve())
  )
}
process.disconnect?.()
