import { endFleet, startFleet } from './fleet.ts'
import { type Goal, median, within } from './goal.ts'
import { startWorld } from './world.ts'

/** R1: nothing fails, and still they all notice at once. */
export const manyProcesses: Goal = {
  name: 'R1',
  promise: 'many processes, one expiry: one refresh, every request answered',
  async run({ processes, expiries, staleMs, store }) {
    await using world = await startWorld({}, store)
    const fleet = await startFleet(processes, world.agentTask(staleMs))
    try {
      await Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
      const before = world.authorizationServer.ledger.refreshes
      const roundsMs: number[] = []
      let unanswered = 0
      for (let expiry = 0; expiry < expiries; expiry += 1) {
        world.expire()
        const startedMs = performance.now()
        const reports = await within(120_000, 'one expiry', Promise.all(fleet.map((agent) => agent.order({ do: 'call' }))))
        roundsMs.push(performance.now() - startedMs)
        unanswered += reports.filter((report) => !report?.ok).length
      }
      const { refreshes, reuses, revokedGrants } = world.authorizationServer.ledger
      const figures = {
        processes,
        expiries,
        refreshes: refreshes - before,
        reuses,
        grantsLost: revokedGrants,
        unanswered,
        medianRoundMs: Math.round(median(roundsMs))
      }
      return { passed: figures.refreshes === expiries && reuses === 0 && revokedGrants === 0 && unanswered === 0, figures }
    } finally {
      await endFleet(fleet)
    }
  }
}
