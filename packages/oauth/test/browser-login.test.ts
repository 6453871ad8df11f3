import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { secrets } from '@mcpauth/core'
import { expect, onTestFinished, test } from 'vitest'
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
