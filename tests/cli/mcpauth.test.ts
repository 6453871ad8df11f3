import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { AllClientMetadata } from 'oidc-provider'
import { expect, onTestFinished, test, vi } from 'vitest'
import { approve, startAuthorizationServer, startMcpServerV2, type TestMcpServer } from '../servers/index.ts'

const main = resolve('packages/cli/src/main.ts')
const browser = `${process.execPath} ${resolve('tests/cli/approving-browser.ts')}`

interface Run {
  child: ChildProcess
  /** What it has written so far. */
  written(): { stdout: string; stderr: string }
  /** Resolves when standard output and error together match. */
  says(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

interface World {
  folder: string
  env: Record<string, string>
  mcpauth(args: string[], options?: { env?: Record<string, string | undefined>; terminal?: boolean }): Run
}

async function world(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpauth-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const env = { PATH: process.env.PATH as string, HOME: folder, MCPAUTH_AUTH_DIR: join(folder, 'auth'), BROWSER: browser }
  return {
    folder,
    env,
    mcpauth(args, { env: more = {}, terminal = false } = {}) {
      const command = [process.execPath, main, ...args]
      // `script` gives the child a terminal of its own; what is typed goes through its standard input.
      const [program, argv] = terminal
        ? ['script', ['-qefc', command.map((word) => `'${word}'`).join(' '), '/dev/null']]
        : [process.execPath, command.slice(1)]
      const child = spawn(program as string, argv as string[], { env: { ...env, ...more } as NodeJS.ProcessEnv, stdio: 'pipe' })
      onTestFinished(() => void child.kill())
      return watch(child)
    }
  }
}

function watch(child: ChildProcess): Run {
  const text = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
      for (const look of waiting) look()
    })
  }
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((settle) =>
    child.on('close', (code) => settle({ code, ...text }))
  )
  function says(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((settle, fail) => {
      const look = (): void => {
        const match = pattern.exec(text.stdout + text.stderr)
        if (match) settle(match)
      }
      waiting.add(look)
      void ended.then(({ stdout, stderr }) => fail(new Error(`it ended without saying ${pattern}: ${stdout}${stderr}`)))
      look()
    })
  }
  return { child, written: () => text, says, ended }
}

async function servers(
  clients: AllClientMetadata[] = []
): Promise<{ mcp: TestMcpServer; as: Awaited<ReturnType<typeof startAuthorizationServer>> }> {
  const as = await startAuthorizationServer({ deviceFlow: true, clients })
  const mcp = await startMcpServerV2({ authorizationServer: as })
  onTestFinished(async () => {
    await mcp[Symbol.asyncDispose]()
    await as[Symbol.asyncDispose]()
  })
  return { mcp, as }
}

test('login through the browser, status, logout: each says what happened, and no token is ever written out', async () => {
  const { mcpauth, env } = await world()
  const { mcp, as } = await servers()
  const url = mcp.url.href

  const before = await mcpauth(['status', url]).ended
  expect(before.code).toBe(3)
  expect(before.stdout).toBe(`${url}: not logged in; log in with: npx @mcpauth/cli login ${url}\n`)
  const otherIdentity = await mcpauth(['status', url, '--profile', 'work']).ended
  expect(otherIdentity.stdout).toBe(`${url} (work): not logged in; log in with: npx @mcpauth/cli login ${url} --profile work\n`)

  const login = await mcpauth(['login', url, '--interactive']).ended
  expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining(`${url}: logged in through ${as.issuer}`) })
  expect(login.stderr).toContain('in your browser')

  const files = (await readdir(env.MCPAUTH_AUTH_DIR as string)).filter((name) => name.endsWith('.json'))
  const record = JSON.parse(await readFile(join(env.MCPAUTH_AUTH_DIR as string, files[0] as string), 'utf8'))
  expect(record.access_token).toBeTypeOf('string')

  const status = await mcpauth(['status', url, '--json']).ended
  expect(status.code).toBe(0)
  expect(JSON.parse(status.stdout)).toMatchObject({
    server: url,
    loggedIn: true,
    issuer: as.issuer,
    canRefresh: true,
    clientId: record.client.client_id
  })
  const all = await mcpauth(['status']).ended
  expect(all.stdout).toContain(`${url}: logged in through ${as.issuer}`)
  for (const secret of [record.access_token, record.refresh_token]) {
    expect(JSON.stringify([login, status, all])).not.toContain(secret)
  }

  const logout = await mcpauth(['logout', url]).ended
  expect(logout).toMatchObject({ code: 0, stdout: `logged out of ${url}\n` })
  expect(as.ledger.revocations).toBeGreaterThan(0)
  expect((await mcpauth(['status', url]).ended).code).toBe(3)
  expect((await mcpauth(['logout', url]).ended).stdout).toBe(`not logged in to ${url}\n`)
})

test('T20: without a person and without a token it ends at once with the command to run; nothing is asked of any server', async () => {
  const { mcpauth } = await world()
  const { mcp, as } = await servers()
  const { code, stdout, stderr } = await mcpauth(['login', mcp.url.href, '--profile', 'work'], { env: { CI: '1' } }).ended
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
  expect(stderr).toContain('MCPAUTH_LOGIN_REQUIRED')
  expect(stderr).toContain(`run in a terminal: npx @mcpauth/cli login ${mcp.url.href} --profile work (`)
  expect([...mcp.origin.requests, ...as.requests]).toEqual([])
})

test.each([
  ['cannot be made', { MCPAUTH_AUTH_DIR: '/dev/null/auth' }, 'ENOTDIR'],
  ['is nowhere, because there is no home', { MCPAUTH_AUTH_DIR: '', HOME: '' }, 'no home folder']
])(
  'T8: a cache that %s is told of before a person is asked, since what is kept in memory ends with the command',
  async (_name, env, fact) => {
    const { mcpauth } = await world()
    const { mcp, as } = await servers()
    const { code, stdout, stderr } = await mcpauth(['login', mcp.url.href, '--interactive'], { env }).ended
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(fact)
    expect(stderr).toContain('MCPAUTH_AUTH_DIR')
    expect(as.ledger.logins).toBe(0)
  }
)

test('T8: a disk that takes the lock and not the tokens is told of, too: the command does not say that somebody is logged in', async () => {
  const { env } = await world()
  const { mcp } = await servers()
  // A unit is 512 or 1,024 bytes; SIGXFSZ is ignored so that the write fails in place of the process.
  const limited = `trap '' XFSZ; ulimit -f 1; exec "$0" "$@"`
  const child = spawn('sh', ['-c', limited, process.execPath, main, 'login', mcp.url.href, '--interactive'], { env, stdio: 'pipe' })
  onTestFinished(() => void child.kill())
  const { code, stdout, stderr } = await watch(child).ended
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(`could not be written to ${env.MCPAUTH_AUTH_DIR}`)
  expect(stderr).toContain('MCPAUTH_STORE_UNAVAILABLE')
})

test('a person who says no is told so, and which command to run next', async () => {
  const { mcpauth } = await world()
  const { mcp } = await servers()
  const { code, stderr } = await mcpauth(['login', mcp.url.href, '--interactive'], { env: { DENY: '1' } }).ended
  expect(code).toBe(1)
  expect(stderr).toContain('the authorization server refused: access_denied')
  expect(stderr).toContain(`server: ${mcp.url.href}`)
  expect(stderr).toContain('MCPAUTH_LOGIN_FAILED')
})

test('a server that has forgotten this client shows an error page and never calls back: the time limit ends the login with the command that registers anew', async () => {
  const { mcpauth, folder } = await world()
  const { mcp, as } = await servers()
  const url = mcp.url.href
  // Only a fixed port makes the next login use the registration again.
  const login = ['login', url, '--interactive', '--port', String(await freePort())]
  expect((await mcpauth(login).ended).code).toBe(0)
  as.forgetClients()

  const tabs = join(folder, 'tabs')
  await mkdir(tabs)
  const env = { TABS: tabs, BROWSER: `${process.execPath} ${resolve('tests/cli/recording-browser.ts')}` }
  const { code, stdout, stderr } = await mcpauth([...login, '--timeout', '10'], { env }).ended
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  const [tab, ...others] = await readdir(tabs)
  expect(others).toEqual([])
  const page = await fetch(await readFile(join(tabs, tab as string, 'url'), 'utf8'))
  expect(page.status).toBe(400)
  expect(await page.text()).toContain('invalid_client')
  expect(stderr).toContain('nobody finished the login')
  const [, advice] = /the client registration is suspect: npx @mcpauth\/cli (.+)$/m.exec(stderr) ?? []
  expect(advice).toBe(`login ${url} --new-registration`)

  const again = await mcpauth([...(advice as string).split(' '), '--interactive']).ended
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining(`${url}: logged in through ${as.issuer}`) })
  expect(as.ledger).toMatchObject({ registrations: 2, logins: 2 })
})

test('a time limit that is none is refused by the name of its option', async () => {
  const { mcpauth } = await world()
  for (const timeout of ['0', '3601', 'soon', '']) {
    const { code, stderr } = await mcpauth(['login', 'http://127.0.0.1:9/mcp', '--interactive', '--timeout', timeout]).ended
    expect(code).toBe(2)
    expect(stderr).toContain('option --timeout: is not a number of seconds from 1 to 3600')
  }
})

test('a logout whose tokens the server did not revoke says so', async () => {
  const { mcpauth } = await world()
  const { mcp, as } = await servers()
  expect((await mcpauth(['login', mcp.url.href, '--interactive']).ended).code).toBe(0)
  as.fault('revocation', { kind: 'status', status: 503 })
  const { code, stdout, stderr } = await mcpauth(['logout', mcp.url.href]).ended
  expect({ code, stdout }).toEqual({ code: 0, stdout: `logged out of ${mcp.url.href}\n` })
  expect(stderr).toBe(`warning: the tokens were forgotten here, but the server did not revoke them: ${mcp.url.href}\n`)
})

test('who reads the answer may leave early', async () => {
  const { mcpauth } = await world()
  const run = mcpauth(['status'])
  run.child.stdout?.destroy()
  expect(await run.ended).toMatchObject({ code: 0, stderr: '' })
})

test('a browser that cannot be opened is replaced by the printed address', async () => {
  const { mcpauth } = await world()
  const { mcp } = await servers()
  const run = mcpauth(['login', mcp.url.href, '--interactive'], { env: { BROWSER: '/nonexistent/browser', DISPLAY: undefined } })
  const [, address] = await run.says(/^ {2}(http\S+)$/m)
  await approve(address as string)
  expect((await run.ended).code).toBe(0)
})

const pty = spawnSync('script', ['-qefc', 'true', '/dev/null']).status === 0

test.skipIf(!pty)('--no-browser in a terminal, as over SSH: the address of the page that did not load is pasted', async () => {
  const { mcpauth } = await world()
  const { mcp } = await servers()
  const run = mcpauth(['login', mcp.url.href, '--no-browser'], { terminal: true, env: { CI: undefined } })
  const [, address] = await run.says(/^ {2}(http\S+)\r?$/m)
  await run.says(/paste the address/)
  const callback = await approve(address as string, { followCallback: false })
  run.child.stdin?.write('just-the-code\r')
  await run.says(/paste the whole address/)
  run.child.stdin?.write(`${callback.href}\r`)
  const { code, stdout } = await run.ended
  expect(stdout).toContain(`${mcp.url.href}: logged in`)
  expect(code).toBe(0)
})

test.skipIf(!pty)('Ctrl-C ends a login that waits for a paste', async () => {
  const { mcpauth } = await world()
  const { mcp } = await servers()
  const run = mcpauth(['login', mcp.url.href, '--no-browser'], { terminal: true, env: { CI: undefined } })
  await run.says(/paste the address/)
  run.child.stdin?.write('\u0003')
  expect((await run.ended).stdout).toContain('the login was cancelled')
})

test('N40: --device shows the code and the address, and waits until it was allowed elsewhere; a client kept from a browser login is not used', async () => {
  const { mcpauth } = await world()
  const { mcp, as } = await servers()
  expect((await mcpauth(['login', mcp.url.href, '--interactive']).ended).code).toBe(0)
  const run = mcpauth(['login', mcp.url.href, '--device', '--interactive'])
  await run.says(/^Open http\S+ on any device and type the code \S+$/m)
  const [, complete] = await run.says(/^or open (http\S+)$/m)
  await approve(complete as string)
  const { code, stdout } = await run.ended
  expect(stdout).toContain(`${mcp.url.href}: logged in`)
  expect(code).toBe(0)
  expect(as.requests.filter(({ path }) => path === '/reg')).toHaveLength(2)
})

test('T19: two logins at once, in two processes: one browser tab, and both have the token', async () => {
  const { mcpauth, folder } = await world()
  const { mcp, as } = await servers()
  const tabs = join(folder, 'tabs')
  await mkdir(tabs)
  const env = { TABS: tabs, BROWSER: `${process.execPath} ${resolve('tests/cli/recording-browser.ts')}` }
  const runs = [1, 2].map(() => mcpauth(['login', mcp.url.href, '--interactive'], { env }))
  // Each looks at the server before it asks for the login's lock: from then on it is going to wait for the other.
  await vi.waitFor(() => expect(mcp.requests.length).toBeGreaterThanOrEqual(2), { timeout: 60_000 })
  const tab = await vi.waitFor(
    async () => {
      const [name] = await readdir(tabs)
      return await readFile(join(tabs, name as string, 'url'), 'utf8')
    },
    { timeout: 60_000 }
  )
  await approve(tab)
  const [first, second] = await Promise.all(runs.map((run) => run.ended))
  expect([first?.code, second?.code]).toEqual([0, 0])
  expect(first?.stdout).toBe(second?.stdout)
  expect(await readdir(tabs)).toHaveLength(1)
  expect(as.issuedTokens).toBe(1)
})

test('a login that waits for the one in another terminal says so', async () => {
  const { mcpauth, folder } = await world()
  const { mcp } = await servers()
  const tabs = join(folder, 'tabs')
  await mkdir(tabs)
  const env = { TABS: tabs, BROWSER: `${process.execPath} ${resolve('tests/cli/recording-browser.ts')}` }
  const first = mcpauth(['login', mcp.url.href, '--interactive'], { env })
  const [, address] = await first.says(/^ {2}(http\S+)$/m)
  const second = mcpauth(['login', mcp.url.href, '--interactive'], { env })
  await second.says(/another login to it/)
  await approve(address as string)
  expect((await second.ended).stdout).toBe((await first.ended).stdout)
  expect(first.written().stderr).not.toContain('another login')
})

test('a registered client logs in with its id, its fixed port, and its secret from the environment or a file', async () => {
  const { mcpauth, folder } = await world()
  const port = await freePort()
  const clients = (['basic', 'post'] as const).map(
    (method): AllClientMetadata => ({
      client_id: `robot-${method}`,
      client_secret: 'hunter2hunter2hunter2hunter2hunter2',
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: `client_secret_${method}`
    })
  )
  const { mcp, as } = await servers(clients)
  const file = join(folder, 'secret')
  await writeFile(file, 'hunter2hunter2hunter2hunter2hunter2\n', { mode: 0o600 })
  const common = ['login', mcp.url.href, '--interactive', '--port', String(port), '--client-id']
  const env = { ROBOT_SECRET: 'hunter2hunter2hunter2hunter2hunter2' }

  const first = await mcpauth([...common, 'robot-basic', '--client-secret-env', 'ROBOT_SECRET'], { env }).ended
  expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('logged in') })
  const second = await mcpauth([...common, 'robot-post', '--client-secret-file', file]).ended
  expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('logged in') })
  const absent = await mcpauth([...common, 'robot-basic', '--client-secret-env', 'ROBOT_SECRET']).ended
  expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining('ROBOT_SECRET') })
  const taken = createServer().listen(port, '127.0.0.1')
  await once(taken, 'listening')
  const blocked = await mcpauth([...common, 'robot-basic', '--client-secret-env', 'ROBOT_SECRET'], { env }).ended
  expect(blocked).toMatchObject({ code: 1, stderr: expect.stringContaining(`port ${port} on 127.0.0.1`) })
  await new Promise((done) => taken.close(done))

  expect(JSON.stringify([first, second, absent, blocked])).not.toContain('hunter2')
  expect(as.ledger.registrations).toBe(0)
  expect(JSON.parse((await mcpauth(['status', mcp.url.href, '--json']).ended).stdout)).toMatchObject({ clientId: 'robot-post' })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

test('T22: a secret is no argument: an option that would take one is refused, and its value is not repeated', async () => {
  const { mcpauth } = await world()
  for (const args of [
    ['login', 'http://localhost:1/mcp', '--client-secret=hunter2hunter2'],
    ['login', 'http://localhost:1/mcp', '--token=hunter2hunter2'],
    ['login', 'https://user:hunter2hunter2@localhost/mcp']
  ]) {
    const { code, stdout, stderr } = await mcpauth(args).ended
    expect(code).not.toBe(0)
    expect(stderr).not.toBe('')
    expect(stdout + stderr).not.toContain('hunter2')
  }
})

test('the command line explains itself, and an error in it ends with 2', async () => {
  const { mcpauth } = await world()
  const help = await mcpauth(['--help']).ended
  expect(help).toMatchObject({ code: 0, stderr: '' })
  for (const verb of ['login', 'logout', 'status']) expect(help.stdout).toContain(verb)
  expect(await mcpauth([]).ended).toEqual({ code: 2, stdout: '', stderr: help.stdout })
  expect(await mcpauth(['lgoin']).ended).toMatchObject({ code: 2, stdout: '' })
  expect(await mcpauth(['login', 'mcp.example.com/mcp', '--interactive']).ended).toMatchObject({ code: 2, stdout: '' })
  expect(await mcpauth(['login']).ended).toMatchObject({ code: 2, stdout: '' })
})
