import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { type AgentTask, type Point, points, window } from './fault-points.ts'
import { endFleet, replenish, startAgent, startFleet, untilStopped } from './fleet.ts'
import { allOrNone, type Goal, median, type Outcome, type Scale, sum, within } from './goal.ts'
import { startWorld, type World } from './world.ts'

/** A fleet in which, at each expiry, whoever comes first to a point is struck there. */
interface Strike {
  /** Expires the token, lets one be struck, and tells how the others fared. */
  round(point: Point): Promise<Round>
  end(): Promise<void>
}

interface Round {
  lost: boolean
  struck: boolean
  unanswered: number
  /** From the strike to the next request that another process got answered. */
  recoveryMs: number
}

async function startStrikes(
  world: World,
  { processes, staleMs }: Pick<Scale, 'processes' | 'staleMs'>,
  signal: 'SIGKILL' | 'SIGSTOP'
): Promise<Strike> {
  const armed = join(world.root, 'armed')
  const struck = join(world.root, 'struck')
  const task = world.agentTask(staleMs)
  const fleet = await startFleet(processes, task)
  await Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))

  async function round(point: Point): Promise<Round> {
    await replenish(fleet, task)
    await Promise.all(fleet.map((agent) => agent.order({ do: 'fault', fault: { point, signal, armed, struck } })))
    rmSync(struck, { force: true })
    writeFileSync(armed, '')
    world.expire()
    const calls = fleet.map((agent) => agent.order({ do: 'call' }))
    if (signal === 'SIGSTOP') await letGoOn(struck, staleMs * 3, calls)
    const reports = await within(120_000, `a ${signal} at ${point}`, Promise.all(calls))
    rmSync(armed, { force: true })
    const [pid, atMs = 0] = existsSync(struck) ? readFileSync(struck, 'utf8').split(' ').map(Number) : []
    const others = reports.filter((report) => report !== undefined)
    const lost = others.some(({ code }) => code === 'MCPAUTH_LOGIN_REQUIRED')
    if (lost) await world.login()
    const answered = others
      .filter((report, index) => report.ok && report.atMs >= atMs && fleet[index]?.pid !== pid)
      .map((report) => report.atMs)
    return {
      lost,
      struck: pid !== undefined,
      unanswered: lost ? 0 : others.filter(({ ok }) => !ok).length,
      recoveryMs: Math.min(...answered) - atMs
    }
  }
  return { round, end: () => endFleet(fleet) }
}

/** Waits out the stop, then lets the stopped process go on. */
async function letGoOn(struck: string, stopMs: number, calls: Promise<unknown>[]): Promise<void> {
  let over = false
  void Promise.all(calls).then(() => {
    over = true
  })
  const stopped = await untilStopped(struck, () => over)
  if (stopped === undefined) return
  await sleep(stopMs)
  process.kill(stopped, 'SIGCONT')
}

/** R2: the holder dies before its request, every time. */
export const holderKilled: Goal = {
  name: 'R2',
  promise: 'the holder is killed before its request at every expiry: nothing lost, and soon over',
  async run(scale) {
    await using world = await startWorld({}, scale.store)
    const strikes = await startStrikes(world, scale, 'SIGKILL')
    try {
      const before = world.authorizationServer.ledger.refreshes
      const rounds: Round[] = []
      for (let expiry = 0; expiry < scale.expiries; expiry += 1) rounds.push(await strikes.round('before-request'))
      const { refreshes, reuses, revokedGrants } = world.authorizationServer.ledger
      const recoveries = rounds.map(({ recoveryMs }) => recoveryMs)
      const figures = {
        processes: scale.processes,
        kills: rounds.filter(({ struck }) => struck).length,
        refreshes: refreshes - before,
        reuses,
        grantsLost: revokedGrants + world.logins,
        unanswered: sum(rounds, ({ unanswered }) => unanswered),
        medianRecoveryMs: median(recoveries),
        maxRecoveryMs: Math.max(...recoveries)
      }
      const passed =
        figures.kills === scale.expiries &&
        figures.refreshes === scale.expiries &&
        reuses === 0 &&
        figures.grantsLost === 0 &&
        figures.unanswered === 0 &&
        (!scale.timed || (figures.medianRecoveryMs <= 300 && figures.maxRecoveryMs <= 2_000))
      return { passed, figures }
    } finally {
      await strikes.end()
    }
  }
}

/** R3: a kill at each point. */
export const killedAnywhere: Goal = {
  name: 'R3',
  promise: 'a kill at each point of a refresh: nothing lost outside [request sent … renamed], with a helper process nothing at all',
  async run(scale) {
    const inProcess = await atEachPoint(scale, 'SIGKILL', window)
    if (scale.fault !== undefined || scale.store !== 'file') return inProcess
    const isolated = await killedWithHelper(scale)
    const figures = { ...inProcess.figures, helperStrikes: isolated.strikes, helperLost: isolated.lost, helperReuses: isolated.reuses }
    return { passed: inProcess.passed && isolated.lost === 0 && isolated.reuses === 0, figures }
  }
}

/** When a process whose helper asks is killed: while the server holds the request, the moment it has committed, or whenever. */
const moments = ['request held', 'committed', 'any'] as const

interface HelperStrikes {
  strikes: number
  lost: number
  reuses: number
}

async function killedWithHelper(scale: Scale): Promise<HelperStrikes> {
  const struck = await allOrNone(moments.map((moment) => killedWithHelperAt(moment, scale)))
  return {
    strikes: sum(struck, ({ strikes }) => strikes),
    lost: sum(struck, ({ lost }) => lost),
    reuses: sum(struck, ({ reuses }) => reuses)
  }
}

async function killedWithHelperAt(moment: (typeof moments)[number], { strikes, staleMs }: Scale): Promise<HelperStrikes> {
  await using world = await startWorld()
  const { ledger } = world.authorizationServer
  const task: AgentTask = { server: world.server.href, root: world.root, staleMs, refreshIsolation: 'process' }
  let agent = await startAgent(task)
  let [struck, lost] = [0, 0]
  try {
    await agent.order({ do: 'call' })
    for (let strike = 0; strike < strikes; strike += 1) {
      const before = ledger.refreshes
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      const hold =
        moment === 'request held' ? world.authorizationServer.fault('token', { kind: 'hold', until: released }, { times: 1 }) : undefined
      world.expire()
      const call = agent.order({ do: 'call' })
      if (hold) while (hold.hits === 0) await sleep(1)
      else if (moment === 'committed') while (ledger.refreshes === before) await setImmediate()
      else await sleep(Math.random() * 300)
      await agent.end()
      release()
      await call
      struck += 1
      agent = await startAgent(task)
      const report = await within(60_000, `a kill with a helper (${moment})`, agent.order({ do: 'call' }))
      if (report?.ok) continue
      lost += 1
      await world.login()
    }
    return { strikes: struck, lost, reuses: ledger.reuses }
  } finally {
    await agent.end()
  }
}

/** R4: a stop at each point. */
export const stoppedAnywhere: Goal = {
  name: 'R4',
  promise: 'a stop of three times the stale time at each point: nothing lost, the others wait, or give up by name as they were told',
  async run(scale) {
    const waiting = await atEachPoint(scale, 'SIGSTOP', new Set())
    if (scale.fault !== undefined) return waiting
    const impatient = await stoppedBeforeTheImpatient(scale)
    const figures = { ...waiting.figures, gaveUp: impatient.gaveUp, gaveUpLost: impatient.lost }
    return { passed: waiting.passed && impatient.gaveUp === impatientStops && impatient.lost === 0, figures }
  }
}

const impatientStops = 5

/** A holder that is stopped, and another process that was told to wait for less: it names the holder, and nothing is lost. */
async function stoppedBeforeTheImpatient({ staleMs }: Scale): Promise<{ gaveUp: number; lost: number }> {
  await using world = await startWorld()
  const files = { armed: join(world.root, 'armed'), struck: join(world.root, 'struck') }
  const task = world.agentTask(staleMs)
  const [holder, waiter] = [await startAgent(task), await startAgent({ ...task, lockWaitMs: staleMs })]
  let [gaveUp, lost] = [0, 0]
  try {
    await Promise.all([holder.order({ do: 'call' }), waiter.order({ do: 'call' })])
    for (let stop = 0; stop < impatientStops; stop += 1) {
      rmSync(files.struck, { force: true })
      writeFileSync(files.armed, '')
      await holder.order({ do: 'fault', fault: { point: 'before-request', signal: 'SIGSTOP', ...files } })
      world.expire()
      const call = holder.order({ do: 'call' })
      await untilStopped(files.struck, () => false)
      const impatient = await within(60_000, 'a waiter that gives up', waiter.order({ do: 'call' }))
      const named = impatient?.message?.includes(`process ${holder.pid} on ${hostname()}`) === true
      gaveUp += Number(impatient?.code === 'MCPAUTH_LOCK_TIMEOUT' && named)
      process.kill(holder.pid, 'SIGCONT')
      const [held, again] = [await within(60_000, 'the holder', call), await waiter.order({ do: 'call' })]
      lost += Number(!held?.ok || !again?.ok)
    }
    return { gaveUp, lost: lost + world.authorizationServer.ledger.reuses }
  } finally {
    await endFleet([holder, waiter])
  }
}

/** How many points are struck at the same time, each lane with servers and a cache of its own: most of a strike is waiting. */
const lanes = 5

interface Struck {
  strikes: number
  missed: number
  lostOutside: number
  lostInside: number
  unanswered: number
  reusesOutside: number
}

async function atEachPoint(scale: Scale, signal: 'SIGKILL' | 'SIGSTOP', mayLose: ReadonlySet<Point>): Promise<Outcome> {
  const wanted = points.filter((each) => scale.fault === undefined || scale.fault === each)
  const todo = wanted.values()
  const lane = async (): Promise<Struck[]> => {
    const struck: Struck[] = []
    for (const point of todo) struck.push(await atOnePoint(scale, signal, point, mayLose.has(point)))
    return struck
  }
  const struck = (await allOrNone(Array.from({ length: Math.min(lanes, wanted.length) }, lane))).flat()
  const figures = {
    strikes: sum(struck, ({ strikes }) => strikes),
    missed: sum(struck, ({ missed }) => missed),
    lostOutside: sum(struck, ({ lostOutside }) => lostOutside),
    lostInside: sum(struck, ({ lostInside }) => lostInside),
    unanswered: sum(struck, ({ unanswered }) => unanswered),
    reusesOutside: sum(struck, ({ reusesOutside }) => reusesOutside)
  }
  const broken = figures.lostOutside + figures.unanswered + figures.reusesOutside + figures.missed
  return { passed: wanted.length > 0 && broken === 0, figures }
}

async function atOnePoint(scale: Scale, signal: 'SIGKILL' | 'SIGSTOP', point: Point, mayLose: boolean): Promise<Struck> {
  await using world = await startWorld({}, scale.store)
  const { ledger } = world.authorizationServer
  const strikes = await startStrikes(world, { processes: 2, staleMs: scale.staleMs }, signal)
  const figures = { strikes: 0, missed: 0, lostOutside: 0, lostInside: 0, unanswered: 0, reusesOutside: 0 }
  try {
    for (let strike = 0; strike < scale.strikes; strike += 1) {
      const reusesBefore = ledger.reuses
      const { lost, struck, unanswered } = await strikes.round(point)
      figures.strikes += Number(struck)
      figures.missed += Number(!struck)
      figures.unanswered += unanswered
      // A use of a rotated token is how a strict server takes the grant back.
      if (mayLose) figures.lostInside += Number(lost)
      else {
        figures.lostOutside += Number(lost)
        figures.reusesOutside += ledger.reuses - reusesBefore
      }
    }
    return figures
  } finally {
    await strikes.end()
  }
}
