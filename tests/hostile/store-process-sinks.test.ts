import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { authFetch } from '@mcpauth/core'
import { oauthTokens, withOAuth } from '@mcpauth/oauth'
import { readBody, sendJson, startOrigin } from '@mcpauth/tests/servers'
import { fileStore } from '@mcpauth/token-store'
import { afterAll, expect, test } from 'vitest'
import { createCanary, leaksIn } from './canary.ts'
import { grantOf, keep, keyOf, temporaryFolders } from './hostile-stores.ts'

const folders = temporaryFolders()
afterAll(() => folders[Symbol.dispose]())
const nobody = 65534
const isRoot = process.geteuid?.() === 0
const canaries = { access: createCanary('access'), refresh: createCanary('refresh'), secret: createCanary('secret') }
const program = join(import.meta.dirname, 'storing-program.ts')

/** Runs a program until it dies, and gives all that it and node wrote. */
async function dying(
  command: string,
  args: readonly string[],
  env: Record<string, string>
): Promise<{ code: number; written: string; reports: string }> {
  const reports = folders.make()
  const child = spawn(command, args, {
    cwd: reports,
    env: {
      PATH: process.env.PATH,
      CANARY_ACCESS: canaries.access,
      CANARY_REFRESH: canaries.refresh,
      CANARY_SECRET: canaries.secret,
      NODE_DEBUG: '*',
      NODE_OPTIONS: `--report-uncaught-exception --report-exclude-env --report-directory=${reports}`,
      ...env
    } as never,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const closed = once(child, 'close')
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await closed
  const files = readdirSync(reports).filter((name) => name.startsWith('report.'))
  return { code, written: output + errors, reports: files.map((name) => readFileSync(join(reports, name), 'utf8')).join('\n') }
}

async function seededFolder(): Promise<string> {
  const root = folders.make()
  await keep(fileStore({ root }), keyOf('https://mcp.example.com/mcp'), grantOf('https://mcp.example.com/mcp', canaries))
  return root
}

test('T13: a program whose tokens go into files says no secret, with all of node’s debug output on', async () => {
  const { code, written } = await dying(process.execPath, [program, 'file', folders.make()], {})
  expect(written).toContain('kept: true')
  expect(written).toContain('cleared: true')
  expect(code).toBe(0)
  expect(leaksIn(written, canaries)).toEqual([])
})

test.skipIf(process.platform === 'win32')('T13: it dies of a disk that takes no more, and its words hold no secret', async () => {
  const root = await seededFolder()
  const { code, written } = await dying(
    'sh',
    ['-c', `trap '' XFSZ; ulimit -f 0; exec "$0" "$@"`, process.execPath, program, 'file', root],
    {}
  )
  expect(code).toBe(1)
  expect(written).toContain('MCPAUTH_STORE_UNAVAILABLE')
  expect(written).toContain('EFBIG')
  expect(leaksIn(written, canaries)).toEqual([])
})

test.skipIf(!isRoot)(
  'T13: it dies of a cache that it may not write, and neither its words nor node’s report hold a secret (skipped unless root)',
  async () => {
    const root = await seededFolder()
    const { code, written, reports } = await dying(process.execPath, [program, 'file', root], { AS_USER: String(nobody) })
    expect(code).toBe(1)
    expect(written).toMatch(/^MCPAUTH_STORE_UN(AVAILABLE|SAFE)$/m)
    expect(leaksIn(written + reports, canaries)).toEqual([])
  }
)

function installed(...commands: string[]): boolean {
  try {
    for (const command of commands) execFileSync('which', [command], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test.skipIf(!installed('dbus-run-session', 'gnome-keyring-daemon'))(
  'T13: a real keyring takes the tokens, and nothing is said, nor left in the files of the lock (skipped without gnome-keyring)',
  async () => {
    const root = folders.make()
    const script = `echo -n password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$0" "$@"`
    const { code, written } = await dying('dbus-run-session', ['--', 'sh', '-c', script, process.execPath, program, 'keyring', root], {
      HOME: root,
      XDG_DATA_HOME: join(root, 'data'),
      XDG_RUNTIME_DIR: root
    })
    expect(written).toContain('kept: true')
    expect(written).toContain('cleared: true')
    expect(code).toBe(0)
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const left = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1')).join('\n')
    expect(leaksIn(written + left, canaries)).toEqual([])
  }
)

test('T13: where no keyring answers, a program dies of it without a secret in its words or in node’s report', async () => {
  const root = folders.make()
  const { code, written, reports } = await dying(process.execPath, [program, 'keyring', root], {
    HOME: root,
    DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
    XDG_RUNTIME_DIR: root
  })
  expect(code).toBe(1)
  expect(written).toContain('MCPAUTH_STORE_UNAVAILABLE')
  expect(reports).toContain('MCPAUTH_STORE_UNAVAILABLE')
  expect(leaksIn(written + reports, canaries)).toEqual([])
})

test.skipIf(process.platform !== 'linux')(
  'T13, T22: the helper of refreshIsolation gets its secrets over its standard input alone',
  async () => {
    await using origin = await startOrigin()
    const base = origin.url.origin
    const server = `${base}/mcp`
    const released = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<string>()
    origin.mount('/mcp', (request, response) =>
      sendJson(response, request.headers.authorization === `Bearer ${canaries.access}` ? 401 : 200, {})
    )
    origin.mount('/token', async (request, response) => {
      asked.resolve(await readBody(request))
      await released.promise
      sendJson(response, 200, { access_token: 'the-next-access-token', token_type: 'Bearer', refresh_token: 'the-next-refresh-token' })
    })
    origin.mount('/.well-known/oauth-protected-resource', (_, response) =>
      sendJson(response, 200, { resource: server, authorization_servers: [base] })
    )
    const store = fileStore({ root: folders.make() })
    await keep(store, keyOf(server), grantOf(server, canaries))
    const secret = createCanary('client-secret')
    const client = { clientId: 'robot', clientSecret: () => secret, tokenEndpointAuthMethod: 'client_secret_post' as const }
    await using fetch = authFetch(withOAuth(server, oauthTokens(server, { store, client, refreshIsolation: 'process' })))
    const answer = fetch(server, { method: 'POST', body: '{}' })
    expect(leaksIn(await asked.promise, { ...canaries, secret })).toEqual(['refresh', 'secret'])
    const seen = childrenOf(process.pid).filter(({ cmdline }) => cmdline.includes('refresh-helper'))
    expect(seen).toHaveLength(1)
    expect(leaksIn(JSON.stringify(seen), { ...canaries, secret })).toEqual([])
    released.resolve()
    expect((await answer).status).toBe(200)
  }
)

/** What every user of this machine, and what this one, can see of the processes that this one has started. */
function childrenOf(parent: number): { cmdline: string; environ: string; status: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const read = (file: string): string => readFileSync(`/proc/${name}/${file}`, 'utf8')
        const status = read('status')
        return status.includes(`PPid:\t${parent}\n`) ? [{ cmdline: read('cmdline'), environ: read('environ'), status }] : []
      } catch {
        // It has ended meanwhile.
        return []
      }
    })
}
