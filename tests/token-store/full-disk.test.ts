import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { endFleet, startAgent } from '../stress/fleet.ts'
import { startWorld } from '../stress/world.ts'

/** A disk of 64 KiB, in memory; undefined where this user may not mount one. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  onTestFinished(() => {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })
  return folder
}

test('T8: a disk that is full when the refreshed token is written costs no grant when another process needs the token next', async ({
  skip
}) => {
  const disk = smallDisk() ?? skip('this user may not mount a disk')
  await using world = await startWorld()
  const root = join(disk, 'auth')
  cpSync(world.root, root, { recursive: true })
  chmodSync(root, 0o700)
  const task = { ...world.agentTask(300), root }
  const first = await startAgent(task)
  expect(await first.order({ do: 'call' })).toMatchObject({ ok: true })
  // The lock has been taken once, so that its files are there.
  world.expire()
  expect(await first.order({ do: 'call' })).toMatchObject({ ok: true })
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(join(disk, 'everything'), Buffer.alloc(bavail * bsize))
  world.expire()
  expect(await first.order({ do: 'call' })).toMatchObject({ ok: true })
  const second = await startAgent(task)
  expect(await second.order({ do: 'call' })).toMatchObject({ ok: true })
  world.expire()
  expect(await second.order({ do: 'call' })).toMatchObject({ ok: true })
  expect(await first.order({ do: 'call' })).toMatchObject({ ok: true })
  expect(world.authorizationServer.ledger).toMatchObject({ refreshes: 3, reuses: 0, revokedGrants: 0 })
  expect(statfsSync(disk).bavail).toBe(0)
  expect(readdirSync(root).filter((name) => name.endsWith('.tmp'))).toEqual([])
  await endFleet([first, second])
})
