// What the promises of the token store cost: the lock, a refresh, a cached token, the first request of a process, and many servers in one process.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  cpSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authFetch, type DispatcherLike, type Refusal } from '@mcpauth/core'
import { oauthTokens, withOAuth } from '@mcpauth/oauth'
import { directLogin, directRefresh, startAuthorizationServer, startMcpServerV1 } from '@mcpauth/tests/servers'
import { fileStore, memoryStore } from '@mcpauth/token-store'
import properLockfile from 'proper-lockfile'
import { kernelLocks } from '../../packages/token-store/src/kernel-lock.ts'
import { compare, median, print } from './harness.ts'
import { record } from './record.ts'
import { seedCache } from './seed-cache.ts'

export async function costsBench(): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'mcpauth-bench-'))
  try {
    await lockCosts(root)
    await refreshCosts()
    await cachedToken()
    await startUp(root)
    await manyServers()
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

async function lockCosts(root: string): Promise<void> {
  const store = fileStore({ root })
  const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
  const plain = join(root, 'plain.json')
  const guards = kernelLocks()
  const guard = join(root, 'bench.guard')
  const text = JSON.stringify(record)

  function fsyncedWrite(): void {
    const temporary = `${plain}.tmp`
    const file = openSync(temporary, 'w', 0o600)
    writeSync(file, text)
    fsyncSync(file)
    closeSync(file)
    renameSync(temporary, plain)
    const folder = openSync(root, 'r')
    fsyncSync(folder)
    closeSync(folder)
  }

  const rows = await compare([
    { name: 'one fsynced write: file, rename, folder', run: fsyncedWrite },
    {
      name: 'lock + re-read + write',
      run: () =>
        store.transact(
          key,
          async (held) => {
            await held.read()
            await held.write(record)
          },
          { deadlineMs: 10_000 }
        )
    },
    { name: 'lock + re-read', run: () => store.transact(key, (held) => held.read(), { deadlineMs: 10_000 }) },
    { name: 'the kernel guard alone', run: () => guards?.tryTake(guard)?.release() },
    {
      name: 'proper-lockfile alone',
      run: async () => await (await properLockfile.lock(plain, { realpath: false, stale: 60_000, update: 5000 }))()
    }
  ])
  print('the lock, against one durable write', rows)
}

async function refreshCosts(): Promise<void> {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV1({ authorizationServer: as })
  const login = await directLogin(as, server.url)
  const store = memoryStore()
  await seed(store, server.url.href, await directLogin(as, server.url))
  const tokens = oauthTokens(server.url, { store, refreshAheadSeconds: 0 })
  let bare = login.refresh_token
  const rows = await compare(
    [
      {
        name: 'a bare token request',
        run: async () => {
          const { body } = await directRefresh(login, bare)
          bare = String(body.refresh_token)
        }
      },
      {
        name: 'a refresh end to end (memory store)',
        run: async () => {
          const token = await tokens.current()
          if (token) await tokens.renew(refusalOf(token, server.url))
        }
      }
    ],
    { rounds: 60, calls: 3 }
  )
  print('a refresh, against a bare token request (the authorization server runs in the same process)', rows)
}

function refusalOf(token: NonNullable<Refusal['token']>, url: URL): Refusal {
  return { status: 401, cause: 'token', challenges: [], token, accepted: true, request: { method: 'POST', url }, headers: {} }
}

async function seed(store: ReturnType<typeof memoryStore>, url: string, login: Awaited<ReturnType<typeof directLogin>>): Promise<void> {
  const { access_token, refresh_token, expires_in, client_id, token_endpoint, issuer, resource } = login
  await store.transact(
    { kind: 'server', url },
    (held) =>
      held.write({
        access_token,
        refresh_token,
        token_type: 'Bearer',
        expires_at_unix: Math.floor(Date.now() / 1000) + expires_in,
        lifetime: expires_in,
        generation: 1,
        server_url: url,
        resource,
        issuer,
        token_endpoint,
        client: { client_id, token_endpoint_auth_method: 'none' }
      }),
    { deadlineMs: 10_000 }
  )
}

async function cachedToken(): Promise<void> {
  const store = memoryStore()
  const url = 'https://mcp.example.com/mcp'
  await store.transact({ kind: 'server', url }, (held) => held.write({ ...record, server_url: url }), { deadlineMs: 10_000 })
  const tokens = oauthTokens(url, { store })
  await tokens.current()
  const calls = 1_000_000
  const rounds = Array.from({ length: 9 }, () => {
    const before = performance.now()
    for (let i = 0; i < calls; i++) void tokens.current()
    return ((performance.now() - before) * 1e6) / calls
  })
  console.log(`\na cached current(): ${median(rounds).toFixed(0)} ns, synchronous (goal: below 1,000)`)
}

/** Whole processes: imports and one request, with the packages as they are published; the difference is what mcpauth adds. */
async function startUp(root: string): Promise<void> {
  const project = installed(join(root, 'project'))
  const server = fork(new URL('./echo-server.ts', import.meta.url))
  const [{ url }] = (await once(server, 'message')) as [{ url: string }]
  seedCache(root, url)
  const modes = ['fetch', 'undici', 'mcpauth'] as const
  const times: Record<string, number[]> = { fetch: [], undici: [], mcpauth: [] }
  const env = { ...process.env, MCPAUTH_AUTH_DIR: root }
  for (let round = -1; round < 30; round++) {
    for (let turn = 0; turn < modes.length; turn++) {
      const mode = modes[(turn + round + 1) % modes.length] as (typeof modes)[number]
      const milliseconds = Number(execFileSync(process.execPath, [join(project, 'first-request.ts'), mode, url], { env, encoding: 'utf8' }))
      if (round >= 0) times[mode]?.push(milliseconds)
    }
  }
  server.kill()
  const of = (mode: string): number => median(times[mode] ?? [])
  const ratio = (mode: string): string =>
    median((times.mcpauth ?? []).map((time, round) => time / (times[mode]?.[round] as number))).toFixed(2)
  console.log('\nimports and first request of a process, warm cache, built packages, in ms')
  console.log(`${of('fetch').toFixed(0).padStart(8)}  global fetch`)
  console.log(`${of('undici').toFixed(0).padStart(8)}  undici.fetch`)
  console.log(
    `${of('mcpauth').toFixed(0).padStart(8)}  authFetch + OAuth: ${(of('mcpauth') - of('undici')).toFixed(0)} over undici.fetch (goal: 15 or less); ${ratio('undici')} of undici.fetch, ${ratio('fetch')} of global fetch`
  )
}

/** A project with the built packages, without a registry. */
function installed(project: string): string {
  const repository = join(import.meta.dirname, '../..')
  execFileSync('pnpm', ['--silent', 'run', 'build', '--output-logs=errors-only'], {
    cwd: repository,
    stdio: ['ignore', 'ignore', 'inherit']
  })
  const modules = join(project, 'node_modules')
  for (const name of ['core', 'oauth', 'token-store', 'refresh-on-401']) {
    const target = join(modules, '@mcpauth', name)
    cpSync(join(repository, 'packages', name, 'dist'), join(target, 'dist'), { recursive: true })
    writeFileSync(join(target, 'package.json'), JSON.stringify({ name: `@mcpauth/${name}`, type: 'module', exports: './dist/index.js' }))
  }
  for (const name of ['undici', 'oauth4webapi', 'jose']) {
    symlinkSync(realpathSync(join(repository, 'packages/oauth/node_modules', name)), join(modules, name))
  }
  cpSync(join(import.meta.dirname, 'first-request.ts'), join(project, 'first-request.ts'))
  writeFileSync(join(project, 'package.json'), '{"type":"module"}')
  return project
}

async function manyServers(): Promise<void> {
  console.log('\nservers in one process, one authFetch with OAuth for each, tokens in use')
  for (const count of [1, 10, 100, 1000, 10_000]) {
    const before = process.memoryUsage().heapUsed
    const store = memoryStore()
    const fetches = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const url = `https://mcp-${index}.example.com/mcp`
        await store.transact({ kind: 'server', url }, (held) => held.write({ ...record, server_url: url }), { deadlineMs: 600_000 })
        const fetch = authFetch(withOAuth(url, { store }), { dispatcher: answering })
        await fetch(url)
        return { url, fetch }
      })
    )
    const kibibytes = (process.memoryUsage().heapUsed - before) / 1024 / count
    const calls = 2000
    const start = performance.now()
    for (let i = 0; i < calls; i++) {
      const { url, fetch } = fetches[i % count] as (typeof fetches)[number]
      await (await fetch(url)).text()
    }
    const microseconds = ((performance.now() - start) * 1000) / calls
    console.log(
      `${String(count).padStart(8)}  ${microseconds.toFixed(0).padStart(5)} µs a request  ${kibibytes.toFixed(1).padStart(7)} KiB a server (heap)`
    )
  }
}

/** A network that answers at once: what is measured is ours. */
const answering: DispatcherLike = {
  dispatch(_options, handler) {
    const controller = {
      aborted: false,
      reason: null,
      paused: false,
      rawHeaders: [],
      abort: () => undefined,
      pause: () => undefined,
      resume: () => undefined
    }
    queueMicrotask(() => {
      handler.onRequestStart?.(controller, {})
      handler.onResponseStart?.(controller, 200, {}, 'OK')
      handler.onResponseEnd?.(controller, {})
    })
    return true
  }
}
