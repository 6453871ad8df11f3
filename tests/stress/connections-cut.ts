import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Database } from '../postgres/database.ts'
import { type AgentProcess, endFleet, startFleet, untilStopped } from './fleet.ts'
import { type Goal, within } from './goal.ts'
import { startWorld, type World } from './world.ts'

/** When the connections go: while a holder stands between its re-read and its request; at any time; and the whole server with them. */
const moments = ['before the request', 'any', 'restart'] as const
type Moment = (typeof moments)[number]

/** A request that was sent within this time of the cut was sent before its sender, one of many on a few cores, could know. */
const noticeMs = 100

/** RC: the database goes away in the middle. */
export const connectionsCut: Goal = {
  name: 'RC',
  promise: 'connections cut and the database restarted in the middle: nothing lost outside [request sent … COMMIT], and soon over',
  async run({ processes, expiries, staleMs }) {
    await using world = await startWorld({}, 'postgres')
    const administrator = (world.database as Database).pool({ max: 1 })
    const fleet = await startFleet(processes, world.agentTask(staleMs))
    const figures = {
      cuts: 0,
      restarts: 0,
      lostOutside: 0,
      lostInside: 0,
      toldToTryAgain: 0,
      unansweredAfterwards: 0,
      worstOutside: 'none'
    }
    try {
      await callAll(fleet)
      for (let expiry = 0; expiry < expiries; expiry += 1) {
        const restart = expiry % 10 === 9
        const moment = restart ? 'restart' : (moments[expiry % 2] as Moment)
        const round = await cutOnce(world, administrator, fleet, moment)
        if (restart) figures.restarts += 1
        else figures.cuts += 1
        figures.toldToTryAgain += round.toldToTryAgain
        if (!round.lost) figures.unansweredAfterwards += round.unansweredAfterwards
        else if (round.sentAfterCutMs > noticeMs) {
          figures.lostOutside += 1
          figures.worstOutside = `${moment}: sent ${round.sentAfterCutMs} ms after the cut`
        } else figures.lostInside += 1
        if (round.lost) await world.login()
      }
      return { passed: figures.lostOutside + figures.unansweredAfterwards === 0, figures }
    } finally {
      await endFleet(fleet)
    }
  }
}

interface Round {
  lost: boolean
  /** From the cut to the first token request that anybody sent; negative when that was before. */
  sentAfterCutMs: number
  toldToTryAgain: number
  unansweredAfterwards: number
}

async function cutOnce(world: World, administrator: Pool, fleet: readonly AgentProcess[], moment: Moment): Promise<Round> {
  const { database, authorizationServer } = world as World & { database: Database }
  const files = { armed: join(world.root, 'armed'), struck: join(world.root, 'struck') }
  const sent = join(world.root, 'sent')
  rmSync(sent, { force: true })
  // Answers a moment later than it would, so that some of the cuts meet a request on its way.
  authorizationServer.fault('token', { kind: 'delay', ms: 20 }, { times: 1 })
  if (moment === 'before the request') {
    const fault = { point: 're-read', signal: 'SIGSTOP', ...files } as const
    await Promise.all(fleet.map((agent) => agent.order({ do: 'fault', fault })))
    writeFileSync(files.armed, '')
  }
  world.expire()
  let over = false
  const calls = callAll(fleet).finally(() => {
    over = true
  })
  const stopped = moment === 'before the request' ? await untilStopped(files.struck, () => over) : undefined
  if (moment !== 'before the request') await sleep(Math.random() * 150)
  if (moment === 'restart') await database.restart()
  else await cutAll(administrator)
  const cutAt = Date.now()
  if (stopped !== undefined) process.kill(stopped, 'SIGCONT')
  const reports = await within(120_000, `a cut (${moment})`, calls)
  const sentAfterCutMs = existsSync(sent) ? Number(readFileSync(sent, 'utf8').split('\n')[0]) - cutAt : 0
  for (const file of Object.values(files)) rmSync(file, { force: true })
  const again = await within(120_000, 'the requests after a cut', callAll(fleet))
  return {
    lost: [...reports, ...again].some((report) => report?.code === 'MCPAUTH_LOGIN_REQUIRED'),
    sentAfterCutMs,
    toldToTryAgain: reports.filter((report) => report?.code === 'MCPAUTH_STORE_UNAVAILABLE').length,
    unansweredAfterwards: again.filter((report) => !report?.ok).length
  }
}

async function cutAll(administrator: Pool): Promise<void> {
  await administrator.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
  )
}

function callAll(fleet: readonly AgentProcess[]): Promise<Awaited<ReturnType<AgentProcess['order']>>[]> {
  return Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
}
