import type { TokenRecord } from '@mcpauth/core'
import { postForm } from '../servers/index.ts'
import { endFleet, startFleet } from './fleet.ts'
import { type Goal, within } from './goal.ts'
import { startWorld } from './world.ts'

/** R9: three processes that want different things of one record at the same time. */
export const comingsAndGoings: Goal = {
  name: 'R9',
  promise: 'refresh, logout and login at the same time: no grant destroyed by accident, no token alive after its logout',
  async run({ rounds, staleMs }) {
    await using world = await startWorld()
    const { authorizationServer } = world
    const fleet = await startFleet(3, { server: world.server.href, root: world.root, staleMs })
    const [caller, leaver, comer] = fleet as [(typeof fleet)[0], (typeof fleet)[0], (typeof fleet)[0]]
    const figures = {
      rounds: 0,
      reuses: 0,
      failures: 0,
      answeredAfterLogout: 0,
      aliveAfterLogout: 0,
      replaced: 0,
      answered: 0,
      loginRequired: 0
    }
    const firstFailure: string[] = []
    try {
      // The login that the world came with belongs to nobody here.
      await leaver.order({ do: 'logout' })
      await comer.order({ do: 'login' })
      for (let round = 0; round < rounds; round += 1) {
        world.expire()
        const race = Promise.all([caller.order({ do: 'call' }), leaver.order({ do: 'logout' }), comer.order({ do: 'login' })])
        const [called, left, came] = await within(120_000, 'a race', race)
        figures.answered += Number(called?.ok)
        const toldToLogIn = called?.code === 'MCPAUTH_LOGIN_REQUIRED'
        figures.loginRequired += Number(toldToLogIn)
        for (const report of [toldToLogIn ? undefined : called, left, came]) {
          if (report && !report.ok) {
            figures.failures += 1
            firstFailure.push(`${report.code} ${report.message}`)
          }
        }
        const last = await world.store.read(world.key)
        await leaver.order({ do: 'logout' })
        figures.aliveAfterLogout += Number(await isAlive(last))
        world.expire()
        const after = await caller.order({ do: 'call' })
        figures.answeredAfterLogout += Number(after?.ok)
        figures.rounds += 1
        await comer.order({ do: 'login' })
      }
      await leaver.order({ do: 'logout' })
      const { reuses, logins, revokedGrants } = authorizationServer.ledger
      figures.reuses = reuses
      // A login in the place of another one does not revoke that: some servers would take the new one back with it.
      figures.replaced = logins - revokedGrants
      const passed = reuses + figures.failures + figures.answeredAfterLogout + figures.aliveAfterLogout === 0
      return { passed, figures: firstFailure[0] === undefined ? figures : { ...figures, firstFailure: firstFailure[0] } }
    } finally {
      await endFleet(fleet)
    }
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
