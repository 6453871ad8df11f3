import type { TokenRecord } from '@mcpauth/core'
import { postForm } from '../servers/index.ts'
import { endFleet, startFleet } from './fleet.ts'
import { allOrNone, type Goal, type Scale, sum, within } from './goal.ts'
import { startWorld } from './world.ts'

/** Races that are run at the same time, each with servers and a cache of its own. */
const lanes = 4

/** R9: three processes that want different things of one record at the same time. */
export const comingsAndGoings: Goal = {
  name: 'R9',
  promise: 'refresh, logout and login at the same time: no grant destroyed by accident, no token alive after its logout',
  async run(scale) {
    const rounds = Math.ceil(scale.rounds / lanes)
    const seen = await allOrNone(Array.from({ length: lanes }, () => races(rounds, scale)))
    const firstFailure = seen.find((each) => each.firstFailure !== undefined)?.firstFailure
    const figures = {
      rounds: rounds * lanes,
      reuses: sum(seen, ({ reuses }) => reuses),
      failures: sum(seen, ({ failures }) => failures),
      answeredAfterLogout: sum(seen, ({ answeredAfterLogout }) => answeredAfterLogout),
      aliveAfterLogout: sum(seen, ({ aliveAfterLogout }) => aliveAfterLogout),
      replaced: sum(seen, ({ replaced }) => replaced),
      answered: sum(seen, ({ answered }) => answered),
      loginRequired: sum(seen, ({ loginRequired }) => loginRequired),
      ...(firstFailure === undefined ? {} : { firstFailure })
    }
    return { passed: figures.reuses + figures.failures + figures.answeredAfterLogout + figures.aliveAfterLogout === 0, figures }
  }
}

interface Races {
  reuses: number
  failures: number
  answeredAfterLogout: number
  aliveAfterLogout: number
  /** Grants that a login took the place of. */
  replaced: number
  answered: number
  loginRequired: number
  firstFailure?: string
}

async function races(rounds: number, { staleMs }: Scale): Promise<Races> {
  await using world = await startWorld()
  const fleet = await startFleet(3, world.agentTask(staleMs))
  const [caller, leaver, comer] = fleet as [(typeof fleet)[0], (typeof fleet)[0], (typeof fleet)[0]]
  const seen: Races = { reuses: 0, failures: 0, answeredAfterLogout: 0, aliveAfterLogout: 0, replaced: 0, answered: 0, loginRequired: 0 }
  try {
    // The login that the world came with belongs to nobody here.
    await leaver.order({ do: 'logout' })
    await comer.order({ do: 'login' })
    for (let round = 0; round < rounds; round += 1) {
      world.expire()
      const race = Promise.all([caller.order({ do: 'call' }), leaver.order({ do: 'logout' }), comer.order({ do: 'login' })])
      const [called, left, came] = await within(120_000, 'a race', race)
      seen.answered += Number(called?.ok)
      const toldToLogIn = called?.code === 'MCPAUTH_LOGIN_REQUIRED'
      seen.loginRequired += Number(toldToLogIn)
      for (const report of [toldToLogIn ? undefined : called, left, came]) {
        if (!report || report.ok) continue
        seen.failures += 1
        seen.firstFailure ??= `${report.code} ${report.message}`
      }
      const last = await world.store.read(world.key)
      await leaver.order({ do: 'logout' })
      seen.aliveAfterLogout += Number(await isAlive(last))
      world.expire()
      const after = await caller.order({ do: 'call' })
      seen.answeredAfterLogout += Number(after?.ok)
      await comer.order({ do: 'login' })
    }
    await leaver.order({ do: 'logout' })
    const { reuses, logins, revokedGrants } = world.authorizationServer.ledger
    // A login in the place of another one does not revoke that: some servers would take the new one back with it.
    return { ...seen, reuses, replaced: logins - revokedGrants }
  } finally {
    await endFleet(fleet)
  }
}

/** Whether the tokens that a logout found are still good for anything. */
async function isAlive(record: TokenRecord | undefined): Promise<boolean> {
  const { refresh_token, token_endpoint, client, resource } = record ?? {}
  if (!refresh_token || !token_endpoint || !client) return false
  const fields = {
    grant_type: 'refresh_token',
    refresh_token,
    client_id: client.client_id,
    ...(resource === undefined ? {} : { resource })
  }
  return (await postForm(token_endpoint, fields)).status === 200
}
