import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

/** Runs a program that has made its first request with a good token from its store; `loaded` has every file so far. */
async function afterFirstRequest(code: string): Promise<string[]> {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    const onLoad = new Set()
    registerHooks({ load: (url, context, next) => { loaded.push(url); for (const heard of onLoad) heard(url); return next(url, context) } })
    const server = 'https://mcp.example.com/mcp'
    const { authFetch } = await import(${JSON.stringify(import.meta.resolve('@mcpauth/core'))})
    const { memoryStore } = await import(${JSON.stringify(import.meta.resolve('@mcpauth/token-store'))})
    const { browserLogin, withOAuth } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)})
    const store = memoryStore()
    const record = { access_token: 'a-good-token', token_type: 'Bearer', expires_at_unix: 4e9 }
    await store.transact({ kind: 'server', url: server }, (held) => held.write(record), { deadlineMs: 1000 })
    let sent
    const answer = { dispatch(options, handler) {
      sent = JSON.stringify(options.headers)
      const controller = { aborted: false, paused: false, rawHeaders: [], abort() {}, pause() {}, resume() {} }
      handler.onRequestStart(controller, {})
      handler.onResponseStart(controller, 200, {}, 'OK')
      handler.onResponseEnd(controller, {})
      return true
    } }
    await authFetch(withOAuth(server, { store, login: browserLogin() }), { dispatcher: answer })(server)
    if (!sent.includes('Bearer a-good-token')) throw new Error('the token was not sent')
    ${code}`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', program])
  return JSON.parse(stdout)
}

test('a process with a good token loads nothing that only a login or a refresh needs', async () => {
  const loaded = await afterFirstRequest('console.log(JSON.stringify([...loaded, ...process.moduleLoadList]))')
  const needless = /\/asking\.ts|oauth4webapi|\/jose\/|Module (child_process|readline|sqlite)$/
  expect(loaded.filter((name) => needless.test(name))).toEqual([])
})

test('it loads them while it has nothing to do, before an update on the disk can take them away', async () => {
  const wait = `
    const alive = setTimeout(() => undefined, 60_000)
    const comes = (name) => new Promise((resolve) => onLoad.add((url) => url.includes(name) && resolve()))
    await Promise.all([comes('/asking.ts'), comes('/oauth4webapi/')])
    clearTimeout(alive)
    console.log(JSON.stringify(['loaded']))`
  expect(await afterFirstRequest(wait)).toEqual(['loaded'])
})
