import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../servers/index.ts'
import type { Report } from './fault-points.ts'
import { type AgentProcess, endFleet, startFleet } from './fleet.ts'
import { type Goal, median, within } from './goal.ts'
import { startWorld } from './world.ts'

const hourMs = 3_600_000

/** R6: the wall clock jumps while a refresh is on its way. */
export const clockJumps: Goal = {
  name: 'R6',
  promise: 'the wall clock jumps by an hour or a day in the middle of a refresh: one refresh, no crash',
  async run({ staleMs }) {
    const figures = { jumps: 0, refreshes: 0, reuses: 0, unanswered: 0, crashes: 0 }
    for (const offsetMs of [hourMs, -hourMs, 24 * hourMs, -24 * hourMs]) {
      await using world = await startWorld()
      const fleet = await startFleet(3, { server: world.server.href, root: world.root, staleMs })
      try {
        await callAll(fleet)
        const { promise: released, resolve: release } = Promise.withResolvers<void>()
        const hold = world.authorizationServer.fault('token', { kind: 'hold', until: released }, { times: 1 })
        world.expire()
        const calls = callAll(fleet)
        while (hold.hits === 0) await sleep(5)
        await Promise.all(fleet.map((agent) => agent.order({ do: 'clock', offsetMs })))
        release()
        const reports = [...(await within(60_000, 'a jump of the clock', calls)), ...(await callAll(fleet))]
        figures.jumps += 1
        figures.refreshes += world.authorizationServer.ledger.refreshes
        figures.reuses += world.authorizationServer.ledger.reuses
        figures.unanswered += reports.filter((report) => !report?.ok).length
        figures.crashes += fleet.filter(({ alive }) => !alive).length
      } finally {
        await endFleet(fleet)
      }
    }
    const { jumps, refreshes, reuses, unanswered, crashes } = figures
    return { passed: jumps === 4 && refreshes === jumps && reuses + unanswered + crashes === 0, figures }
  }
}

/** What goes wrong once in a while; none of them loses an answer. */
const troubles: readonly Fault[] = [
  { kind: 'status', status: 503 },
  { kind: 'drop before' },
  { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
  { kind: 'html', status: 502 },
  { kind: 'delay', ms: 100 }
]

/** How often each process calls a tool in the five minutes of a token. */
const callsPerToken = 20

/** R7: a day of work, by a clock that runs fast. */
export const oneDay: Goal = {
  name: 'R7',
  promise: '24 hours of 5-minute tokens with 5 % faults: 288 refreshes, nothing grows, nothing stays behind',
  async run({ staleMs, rounds }) {
    const steps = Math.min(288, rounds)
    await using world = await startWorld({ accessTokenTtlSeconds: 300 })
    const fleet = await startFleet(8, { server: world.server.href, root: world.root, staleMs })
    try {
      const { ledger } = world.authorizationServer
      await callAll(fleet)
      let unanswered = 0
      let early: Measure[] = []
      // What a process builds up in its first hours is not counted five times.
      const earlyStep = Math.ceil(steps / 4)
      for (let step = 1; step <= steps; step += 1) {
        // A second more than a token lives, so that rounding decides nothing.
        await Promise.all(fleet.map((agent) => agent.order({ do: 'clock', offsetMs: step * 301_000 })))
        if (step % 20 === 10) world.authorizationServer.fault('token', troubles[(step / 10) % troubles.length] as Fault, { times: 1 })
        for (let call = 0; call < callsPerToken; call += 1) unanswered += (await callUntilAnswered(fleet)) ? 0 : 1
        if (step === earlyStep) early = await measureAll(fleet)
      }
      const late = await measureAll(fleet)
      const more = (what: keyof Measure): number[] => late.map((measure, index) => measure[what] - (early[index] as Measure)[what])
      const figures = {
        steps,
        refreshes: ledger.refreshes,
        reuses: ledger.reuses,
        unanswered,
        requests: steps * callsPerToken * fleet.length,
        kibPerThousandRefreshes: Math.round((median(more('dataBytes')) / 1024 / (steps - earlyStep)) * 1000),
        moreHandles: Math.max(...more('handles')),
        orphans: readdirSync(world.root).filter((name) => /\.(tmp|lock)$/.test(name)).length
      }
      const passed =
        figures.refreshes === steps &&
        figures.reuses + unanswered + figures.orphans === 0 &&
        figures.kibPerThousandRefreshes < 1024 &&
        figures.moreHandles <= 0
      return { passed, figures }
    } finally {
      await endFleet(fleet)
    }
  }
}

function callAll(fleet: readonly AgentProcess[]): Promise<(Report | undefined)[]> {
  return Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
}

interface Measure {
  readonly dataBytes: number
  readonly handles: number
}

async function measureAll(fleet: readonly AgentProcess[]): Promise<Measure[]> {
  // Connections that are on their way out are not counted twice.
  await sleep(500)
  return await Promise.all(
    fleet.map(async (agent) => {
      const { dataBytes, handles, message } = (await agent.order({ do: 'measure' })) ?? {}
      if (dataBytes === undefined || handles === undefined) throw new Error(`an agent could not be measured: ${message}`)
      return { dataBytes, handles }
    })
  )
}

/** A caller that tries again when it was told that the server is busy. */
async function callUntilAnswered(fleet: readonly AgentProcess[]): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if ((await callAll(fleet)).every((report) => report?.ok)) return true
    // The servers' Retry-After is a second.
    await sleep(1_100)
  }
  return false
}
