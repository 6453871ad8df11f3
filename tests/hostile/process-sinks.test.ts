import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCanary, leaksIn } from './canary.ts'
import { type EchoingServer, startEchoingServer } from './echoing-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcpauth-crash-'))
const canaries = { token: createCanary('token'), key: createCanary('key') }
let server: EchoingServer
beforeAll(async () => {
  server = await startEchoingServer('unused')
  server.mood = 'refuses'
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** Runs the program until it dies, and gives all that it wrote. */
async function dying(args: readonly string[], env: Record<string, string>): Promise<{ code: number; output: string; cmdline: string }> {
  const program = join(import.meta.dirname, 'crashing-program.ts')
  const child = spawn(process.execPath, [...args, program, server.url], {
    cwd: folder,
    env: { PATH: process.env.PATH, CANARY_TOKEN: canaries.token, CANARY_KEY: canaries.key, ...env } as never,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const cmdline = process.platform === 'linux' ? readFileSync(`/proc/${child.pid}/cmdline`, 'utf8') : ''
  const closed = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)))
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await closed, output: output + errors, cmdline }
}

test('T13, T22: an uncaught refusal, with every debug output of node and undici on, prints no secret and shows none in the arguments', async () => {
  const { code, output, cmdline } = await dying([], { NODE_DEBUG: 'undici,http,net,tls,fetch,websocket' })
  expect(code).toBe(1)
  expect(output).toContain('MCPAUTH_TOKEN_REFUSED')
  expect(leaksIn(server.received(), canaries)).toEqual(['token', 'key'])
  expect(leaksIn(output + cmdline, canaries)).toEqual([])
})

test('T13: the report that node writes at a crash holds no secret, apart from the environment that node itself puts there', async () => {
  const { output } = await dying(['--report-uncaught-exception', '--report-exclude-env', `--report-directory=${folder}`], {})
  const reports = readdirSync(folder).filter((name) => name.startsWith('report.'))
  expect(reports).toHaveLength(1)
  const report = readFileSync(join(folder, reports[0] as string), 'utf8')
  expect(report).toContain('MCPAUTH_TOKEN_REFUSED')
  expect(leaksIn(report + output, canaries)).toEqual([])
})
