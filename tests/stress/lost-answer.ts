import { endFleet, startFleet } from './fleet.ts'
import { type Goal, type StoreKind, within } from './goal.ts'
import { startWorld } from './world.ts'

/** R5: the server has committed, and its answer is lost. */
export const lostAnswer: Goal = {
  name: 'R5',
  promise: 'an answer lost after the server committed: one more try; with grace nothing lost, without it one login',
  async run({ staleMs, store }) {
    const withGrace = await lose(10_000, staleMs, store)
    const without = await lose(0, staleMs, store)
    const passed =
      withGrace.tries === 2 && withGrace.answered === 2 && without.tries === 2 && without.loginRequired === 2 && without.triesLater === 0
    return {
      passed,
      figures: {
        graceTries: withGrace.tries,
        graceAnswered: withGrace.answered,
        strictTries: without.tries,
        strictLoginRequired: without.loginRequired,
        strictTriesLater: without.triesLater
      }
    }
  }
}

interface Losses {
  /** Times the refresh token was presented. */
  tries: number
  answered: number
  loginRequired: number
  /** Times it was presented by five more requests of each. */
  triesLater: number
}

async function lose(graceMs: number, staleMs: number, store: StoreKind): Promise<Losses> {
  await using world = await startWorld({ graceMs }, store)
  const fleet = await startFleet(2, world.agentTask(staleMs))
  try {
    await Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
    const { ledger } = world.authorizationServer
    const presented = (): number => ledger.tokenRequests.filter(({ grant_type }) => grant_type === 'refresh_token').length
    const before = presented()
    world.expire()
    world.authorizationServer.fault('token', { kind: 'drop after' }, { times: 1 })
    const reports = await within(60_000, 'a lost answer', Promise.all(fleet.map((agent) => agent.order({ do: 'call' }))))
    const tries = presented() - before
    for (let more = 0; more < 5; more += 1) await Promise.all(fleet.map((agent) => agent.order({ do: 'call' })))
    return {
      tries,
      answered: reports.filter((report) => report?.ok).length,
      loginRequired: reports.filter((report) => report?.code === 'MCPAUTH_LOGIN_REQUIRED').length,
      triesLater: presented() - before - tries
    }
  } finally {
    await endFleet(fleet)
  }
}
