import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { AgentTask, Order, Report } from './fault-points.ts'

type OrderBody = Order extends infer One ? (One extends { id: number } ? Omit<One, 'id'> : never) : never

/** One process of the fleet. */
export interface AgentProcess {
  readonly pid: number
  readonly alive: boolean
  /** Resolves with its report; undefined when it died first. */
  order(order: OrderBody): Promise<Report | undefined>
  end(): Promise<void>
}

/** Starts an agent and waits until it is ready. */
export async function startAgent(task: AgentTask): Promise<AgentProcess> {
  const child: ChildProcess = fork(fileURLToPath(new URL('agent.ts', import.meta.url)), [JSON.stringify(task)], {
    execArgv: ['--expose-gc'],
    // Hundreds of them are started; what the first has compiled the others need not.
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'mcpauth-stress-compiled') }
  })
  const waiting = new Map<number, (report: Report | undefined) => void>()
  let nextId = 1
  let alive = true
  const ready = new Promise<Report | undefined>((resolve) => waiting.set(0, resolve))
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      alive = false
      for (const settle of waiting.values()) settle(undefined)
      waiting.clear()
      resolve()
    })
  })
  child.on('message', (report: Report) => {
    waiting.get(report.id)?.(report)
    waiting.delete(report.id)
  })
  if (!(await ready)) throw new Error('an agent ended before it was ready')

  return {
    pid: child.pid as number,
    get alive() {
      return alive
    },
    order(order) {
      if (!alive) return Promise.resolve(undefined)
      const id = nextId++
      return new Promise((resolve) => {
        waiting.set(id, resolve)
        child.send({ ...order, id }, undefined, {}, () => undefined)
      })
    },
    async end() {
      child.kill('SIGKILL')
      await gone
    }
  }
}

/** Starts many, a few at a time: on a small machine all at once would only be slower. */
export async function startFleet(size: number, task: AgentTask): Promise<AgentProcess[]> {
  const fleet: AgentProcess[] = []
  while (fleet.length < size) {
    const several = Array.from({ length: Math.min(4, size - fleet.length) }, () => startAgent(task))
    const started = await Promise.allSettled(several)
    fleet.push(...started.filter((one) => one.status === 'fulfilled').map(({ value }) => value))
    const failed = started.find((one) => one.status === 'rejected')
    if (!failed) continue
    // Processes that nobody ends would keep this one from ending.
    await endFleet(fleet)
    throw failed.reason
  }
  return fleet
}

/** Replaces those that died. */
export async function replenish(fleet: AgentProcess[], task: AgentTask): Promise<void> {
  for (const [index, agent] of fleet.entries()) if (!agent.alive) fleet[index] = await startAgent(task)
}

export async function endFleet(fleet: readonly AgentProcess[]): Promise<void> {
  await Promise.all(fleet.map((agent) => agent.end()))
}

/** Resolves with the pid of the process that was struck with SIGSTOP, once it has stopped; undefined when it is over without one. */
export async function untilStopped(struck: string, over: () => boolean): Promise<number | undefined> {
  for (;;) {
    const pid = existsSync(struck) ? Number(readFileSync(struck, 'utf8').split(' ')[0]) : 0
    // It says so a moment before it stops: a SIGCONT in between would be lost, and it would stand still for ever.
    if (pid > 0 && /\) [Tt] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) return pid
    if (over()) return undefined
    await sleep(1)
  }
}
