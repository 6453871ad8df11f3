import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { lock as stockLock } from 'proper-lockfile'
import { describe, expect, test } from 'vitest'
import { fileLock, storeFileName } from '../src/index.ts'
import { startChild } from './processes/child.ts'
import { temporaryFolder } from './temporary-folder.ts'

// The stock package as judge: tools that use it and this code must exclude each other, although this code does not import it.
const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
const name = storeFileName(key)

describe('the stock proper-lockfile as judge', () => {
  test('processes of both kinds are never inside at the same time', async () => {
    const root = temporaryFolder()
    const env = { STEM: name }
    // Each makes a marker that must not exist yet, so an overlap fails the process that comes second.
    const ours = Array.from({ length: 3 }, () => startChild({ root, key, action: 'hold', rounds: 20 }))
    const stock = Array.from({ length: 3 }, () => startChild({ root, key, action: 'stock-count', rounds: 20 }, { env }))
    for (const child of [...ours, ...stock])
      expect(await Promise.race([child.said('done'), child.said('failed')])).toEqual({ name: 'done' })
  })

  test('it sees our lock as held, and takes it when we have released it', async () => {
    const root = temporaryFolder()
    mkdirSync(root, { recursive: true })
    const stem = join(root, name)
    await fileLock({ root }).hold(key, () => expect(stockLock(stem, { realpath: false })).rejects.toMatchObject({ code: 'ELOCKED' }), {
      deadlineMs: 1_000
    })
    const release = await stockLock(stem, { realpath: false })
    await expect(fileLock({ root }).hold(key, async () => 0, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
    await release()
    expect(await fileLock({ root }).hold(key, async () => 'ours', { deadlineMs: 1_000 })).toBe('ours')
  })

  test('its heart beats often enough for our staleMs, and ours for its stale', async () => {
    const root = temporaryFolder()
    const stem = join(root, name)
    // The shortest it allows: stale after two seconds, a beat every second.
    const release = await stockLock(stem, { realpath: false, stale: 2_000 })
    await expect(fileLock({ root, staleMs: 4_000 }).hold(key, async () => 0, { deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'MCPAUTH_LOCK_TIMEOUT'
    })
    await release()
  })
})

describe('why it is not imported', () => {
  const host = (first: string): string => `
    process.once('SIGTERM', () => setTimeout(() => { console.log('cleaned up'); process.exit(0) }, 50))
    ${first}
    console.log('ready')
    setInterval(() => {}, 1000)`

  async function terminate(
    source: string,
    type: 'commonjs' | 'module'
  ): Promise<{ code: number | null; signal: string | null; output: string }> {
    const child = spawn(process.execPath, [`--input-type=${type}`, '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output === 'ready\n') child.kill('SIGTERM')
    })
    const [code, signal] = await once(child, 'close')
    return { code, signal, output }
  }

  test('a host that imports it is killed in the middle of its own clean-up', async () => {
    const stock = JSON.stringify(createRequire(import.meta.url).resolve('proper-lockfile'))
    const ended = await terminate(host(`require(${stock})`), 'commonjs')
    expect(ended).toEqual({ code: null, signal: 'SIGTERM', output: 'ready\n' })
  })

  test('a host that has used our lock finishes its clean-up', async () => {
    const ours = JSON.stringify(new URL('../src/index.ts', import.meta.url).href)
    const use = `
      const { fileLock } = await import(${ours})
      await fileLock({ root: ${JSON.stringify(temporaryFolder())} }).hold(${JSON.stringify(key)}, async () => {}, { deadlineMs: 1000 })`
    const ended = await terminate(host(use), 'module')
    expect(ended).toEqual({ code: 0, signal: null, output: 'ready\ncleaned up\n' })
  })
})
