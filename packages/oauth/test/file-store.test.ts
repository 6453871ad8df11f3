import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { scene } from './small-servers.ts'

test('with the store that is the default: a login, a refresh, a failed login, a logout', async () => {
  const root = await mkdtemp(join(tmpdir(), 'mcpauth-test-'))
  let refuse = false
  await using world = await scene((answer) => {
    if (!refuse) return
    answer.delete('code')
    answer.set('error', 'access_denied')
  })
  const store = fileStore({ root })
  const tokens = world.tokensWith({ store })
  await tokens.login()
  world.as.live.clear()
  expect(await world.post(world.fetchWith({ store }))).toBe(200)
  expect(await tokens.status()).toMatchObject({ loggedIn: true, generation: 2 })
  refuse = true
  world.login.asked.length = 0
  const outcomes = await Promise.allSettled(Array.from({ length: 3 }, () => world.tokensWith({ store }).login()))
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(world.login.asked).toHaveLength(1)
  // A failed login costs nothing that was there.
  expect(await world.tokensWith({ store }).status()).toMatchObject({ loggedIn: true, generation: 2 })
  await tokens.logout()
  expect(await world.tokensWith({ store }).status()).toMatchObject({ loggedIn: false })
  expect((await store.list()).filter(({ kind }) => kind === 'server')).toEqual([])
  expect((await readdir(root)).filter((name) => name.endsWith('.lock'))).toEqual([])
  await rm(root, { recursive: true })
})
