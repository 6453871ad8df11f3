import { getEventListeners } from 'node:events'
import { createServer, request as send } from 'node:http'
import { type AddressInfo, connect, Server } from 'node:net'
import { secrets } from '@mcpauth/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type LoopbackOptions, type LoopbackServer, listenForCallback } from '../src/loopback-server.ts'

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

async function listening(options?: LoopbackOptions): Promise<LoopbackServer> {
  const server = await listenForCallback(options)
  onTestFinished(server.close)
  return server
}

function ask(url: string | URL, options: { method?: string; host?: string; address?: string } = {}): Promise<Answer> {
  const { hostname, port, pathname, search } = new URL(url)
  return new Promise((settle, fail) => {
    const request = send(
      {
        host: options.address ?? hostname.replace(/^\[|\]$/g, ''),
        port,
        path: pathname + search,
        method: options.method ?? 'GET',
        headers: { host: options.host ?? new URL(url).host },
        agent: false
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.on('end', () => settle({ status: response.statusCode ?? 0, headers: response.headers, body }))
      }
    )
    request.on('error', fail).end()
  })
}

const idle = (): AbortSignal => new AbortController().signal

test('T10: it binds the loopback address and an ephemeral port', async () => {
  const first = await listening()
  const second = await listening({ host: '[::1]' })
  expect(first.redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  expect(second.redirectUri).toMatch(/^http:\/\/\[::1\]:\d+\/callback$/)
})

test('T10: the callback with the right state gets through, and its tab is answered when the login is over', async () => {
  const server = await listening()
  const callback = server.callback('the-state', idle())
  const tab = ask(`${server.redirectUri}?code=the-code-of-this-test&state=the-state&iss=https%3A%2F%2Fas.example`)
  expect(Object.fromEntries(await callback)).toEqual({ code: 'the-code-of-this-test', state: 'the-state', iss: 'https://as.example' })
  server.finish({ outcome: 'success', server: 'mcp.example.com' })
  const { status, headers, body } = await tab
  expect(status).toBe(200)
  expect(body).toContain('You are logged in')
  expect(body).toContain('mcp.example.com')
  expect(body).toContain('You can close this tab and go back to your terminal.')
  expect(body).not.toContain('the-code-of-this-test')
  expect(headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff' })
  expect(headers['content-security-policy']).toMatch(
    /^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/
  )
})

test('T10: a tab that nobody answers is answered when the server closes', async () => {
  const server = await listening()
  const callback = server.callback('s', idle())
  const tab = ask(`${server.redirectUri}?code=c&state=s`)
  await callback
  server.close()
  expect((await tab).body).toContain('Your answer has arrived')
})

test.each<[string, string, { method?: string; host?: string }, number]>([
  ['another Host (DNS rebinding)', '?code=c&state=right', { host: 'evil.example' }, 421],
  ['localhost as Host', '?code=c&state=right', { host: 'localhost' }, 421],
  ['another path', '/x?code=c&state=right', {}, 404],
  ['POST', '?code=c&state=right', { method: 'POST' }, 405],
  ['HEAD', '?code=c&state=right', { method: 'HEAD' }, 405],
  ['another state', '?code=c&state=wrong', {}, 400],
  ['no state', '?code=c', {}, 400],
  ['two states', '?code=c&state=right&state=right', {}, 400],
  ['two codes', '?code=a&code=b&state=right', {}, 400],
  ['two errors', '?error=a&error=b&state=right', {}, 400],
  ['two issuers', '?code=a&state=right&iss=a&iss=b', {}, 400],
  ['code and error', '?code=a&error=b&state=right', {}, 400],
  ['neither code nor error', '?state=right', {}, 400]
])('T10 N32: %s is answered with a refusal and ignored; the real one still gets through', async (_what, rest, options, status) => {
  const server = await listening()
  const callback = server.callback('right', idle())
  const junk = await ask(server.redirectUri + rest, options)
  expect(junk.status).toBe(status)
  expect(junk.headers['content-type']).toBe('text/plain; charset=utf-8')
  void ask(`${server.redirectUri}?code=real&state=right`).catch(() => {})
  expect((await callback).get('code')).toBe('real')
})

test('T10: requests that are not even HTTP, and a target in absolute form, do no harm', async () => {
  const server = await listening()
  const callback = server.callback('right', idle())
  const port = Number(new URL(server.redirectUri).port)
  const raw = (text: string): Promise<string> =>
    new Promise((settle) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk
        socket.end()
      })
      socket.on('error', () => {}).on('close', () => settle(answer))
    })
  expect(await raw('\u0000\u0001\u0002 nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/)
  expect(await raw(`GET http://evil.example/callback?code=c&state=right HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 404/
  )
  expect(await raw(`GET //evil.example/callback?code=c&state=right HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 404/)
  expect(await raw(`GET /callback?code=c&state=right HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 431/
  )
  // Only HTTP/1.1 has to say which host it wants.
  expect(await raw('GET /callback?code=c&state=right HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 421/)
  expect(await raw(`OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 404/)
  const body = 'a'.repeat(1_000_000)
  expect(await raw(`POST /callback HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 1000000\r\n\r\n${body}`)).toMatch(
    /^HTTP\/1\.1 405/
  )
  void ask(`${server.redirectUri}?code=real&state=right`).catch(() => {})
  expect((await callback).get('code')).toBe('real')
})

test('T10: a second callback changes nothing', async () => {
  const server = await listening()
  const callback = server.callback('right', idle())
  const tab = ask(`${server.redirectUri}?code=first&state=right`)
  expect((await callback).get('code')).toBe('first')
  expect((await ask(`${server.redirectUri}?code=second&state=right`)).status).toBe(409)
  server.finish({ outcome: 'success' })
  expect((await tab).status).toBe(200)
  // A reload of the tab sees the same page again.
  expect((await ask(`${server.redirectUri}?code=first&state=right`)).body).toContain('You are logged in')
})

test('T10: before anyone waits, and after giving up, a callback is refused', async () => {
  const server = await listening()
  expect((await ask(`${server.redirectUri}?code=c&state=`)).status).toBe(400)
  const giveUp = new AbortController()
  const callback = server.callback('right', giveUp.signal)
  giveUp.abort(new Error('the caller went away'))
  await expect(callback).rejects.toThrow('the caller went away')
})

test('T10: markup and terminal escapes in what the page says are shown as text', async () => {
  const server = await listening()
  const callback = server.callback('s', idle())
  const tab = ask(`${server.redirectUri}?error=access_denied&state=s`)
  await callback
  server.finish({
    outcome: 'failure',
    server: '<script>a</script>',
    reason: '"<img src=x onerror=alert(1)>\u001b[2J',
    advice: "it's & that"
  })
  const { status, body } = await tab
  expect(status).toBe(200)
  expect(body).not.toMatch(/<script|<img|\u001b/)
  expect(body).toContain('&lt;script&gt;a&lt;/script&gt;')
  expect(body).toContain('&quot;&lt;img src=x onerror=alert(1)&gt; [2J')
  expect(body).toContain('it&#39;s &amp; that')
})

test('T10: a fixed port that is taken is an error that names it', async () => {
  const blocker = createServer()
  await new Promise<void>((done) => blocker.listen(0, '127.0.0.1', done))
  onTestFinished(() => void blocker.close())
  const { port } = blocker.address() as AddressInfo
  await expect(listenForCallback({ port })).rejects.toThrow(
    expect.objectContaining({ code: 'MCPAUTH_LOGIN_FAILED', message: expect.stringContaining(`port ${port} on 127.0.0.1`) })
  )
})

test('T10: a fixed port is used, and is free again after close', async () => {
  const first = await listenForCallback()
  const port = Number(new URL(first.redirectUri).port)
  first.close()
  const second = await listening({ port })
  expect(second.redirectUri).toBe(first.redirectUri)
})

test('a client registered with localhost is served on both addresses', async () => {
  const server = await listening({ host: 'localhost' })
  expect(server.redirectUri).toMatch(/^http:\/\/localhost:\d+\/callback$/)
  const callback = server.callback('s', idle())
  expect((await ask(`${server.redirectUri}?code=c&state=wrong`, { address: '::1' })).status).toBe(400)
  void ask(`${server.redirectUri}?code=c&state=s`, { address: '127.0.0.1' }).catch(() => {})
  expect((await callback).get('code')).toBe('c')
})

test('T10: a refusal is one sentence of ours, and says which method there is', async () => {
  const server = await listening()
  const posted = await ask(`${server.redirectUri}?junk`, { method: 'POST' })
  expect(posted).toMatchObject({
    status: 405,
    body: 'Only GET is answered here.\n',
    headers: { allow: 'GET', 'cache-control': 'no-store' }
  })
  for (const [answer, body] of [
    [await ask(`${server.redirectUri}?junk`), 'This is not the answer to the login that is waiting here.\n'],
    [await ask(new URL('/junk', server.redirectUri)), 'There is nothing here.\n'],
    [await ask(server.redirectUri, { host: 'junk' }), 'This address is not served here.\n']
  ] as const) {
    expect(answer.body).toBe(body)
    expect(answer.headers).not.toHaveProperty('allow')
    expect(answer.headers.connection).toBe('close')
  }
})

test('T10: the host is compared as hosts are, and an answer may be long', async () => {
  const server = await listening({ host: 'localhost' })
  const callback = server.callback('s', idle())
  const { port } = new URL(server.redirectUri)
  void ask(`${server.redirectUri}?code=${'c'.repeat(20_000)}&state=s`, { address: '127.0.0.1', host: `LocalHost:${port}` }).catch(() => {})
  expect((await callback).get('code')).toHaveLength(20_000)
})

test('T13: the code that comes back is a secret from then on', async () => {
  const server = await listening()
  const callback = server.callback('s', idle())
  void ask(`${server.redirectUri}?code=the-code-that-came-back&state=s`).catch(() => {})
  await callback
  expect(secrets.redact('the-code-that-came-back')).toBe('[REDACTED:authorization code]')
})

test('T10: a tab is answered after fifteen seconds, whatever happens to the login, and names the server', async () => {
  const server = await listening()
  const callback = server.callback('s', idle(), 'mcp.example.com')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  let answered = false
  const tab = ask(`${server.redirectUri}?code=c&state=s`)
  void tab.then(() => {
    answered = true
  })
  await callback
  vi.advanceTimersByTime(14_999)
  expect((await ask(`${server.redirectUri}?code=c&state=s`)).status).toBe(409)
  expect(answered).toBe(false)
  vi.advanceTimersByTime(1)
  expect((await tab).body).toContain('The login to <strong>mcp.example.com</strong> goes on')
  expect(vi.getTimerCount()).toBe(0)
  // What comes later is for whoever looks again.
  server.finish({ outcome: 'failure', reason: 'it was refused' })
  expect((await ask(`${server.redirectUri}?code=c&state=s`)).body).toContain('it was refused')
})

test('T10: a tab that was answered is not waited for any more', async () => {
  const server = await listening()
  const callback = server.callback('s', idle())
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const tab = ask(`${server.redirectUri}?code=c&state=s`)
  await callback
  expect(vi.getTimerCount()).toBe(1)
  server.finish({ outcome: 'success' })
  expect(vi.getTimerCount()).toBe(0)
  await tab
})

test('T10: whoever gave up before waiting is told at once, and an answer leaves no listener on the signal', async () => {
  const server = await listening()
  await expect(server.callback('s', AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
  expect((await ask(`${server.redirectUri}?code=c&state=s`)).status).toBe(400)
  const { signal } = new AbortController()
  const callback = server.callback('s', signal)
  void ask(`${server.redirectUri}?code=c&state=s`).catch(() => {})
  await callback
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

/** Makes every attempt to listen on an address fail with this code. */
function cannotListenOn(address: string, code: string | undefined): void {
  const listen = Server.prototype.listen
  vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...given: unknown[]) {
    if ((given[0] as { host?: string }).host !== address) return listen.apply(this, given as never)
    process.nextTick(() => this.emit('error', Object.assign(new Error('no'), { code })))
    return this
  })
  onTestFinished(() => void vi.restoreAllMocks())
}

test.each(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])('a machine without IPv6 serves localhost on the other address: %s', async (code) => {
  cannotListenOn('::1', code)
  const server = await listening({ host: 'localhost' })
  const callback = server.callback('s', idle())
  void ask(`${server.redirectUri}?code=c&state=s`, { address: '127.0.0.1' }).catch(() => {})
  expect((await callback).get('code')).toBe('c')
  await expect(listenForCallback({ host: '[::1]' })).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    message: expect.stringContaining('::1')
  })
})

test.each(['EADDRINUSE', 'EACCES', 'EWHATEVER'])('localhost is served on both addresses or not at all: %s', async (code) => {
  const before = await listenForCallback()
  before.close()
  const { port } = new URL(before.redirectUri)
  cannotListenOn('::1', code)
  await expect(listenForCallback({ host: 'localhost', port: Number(port) })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  // The first address is free again.
  await listening({ port: Number(port) })
})

test.each<[string | undefined, string, RegExp, RegExp]>([
  ['EADDRINUSE', '127.0.0.1', /^port 4711 on 127\.0\.0\.1, .* is taken by another program$/, /another port that the client is registered/],
  ['EACCES', '127.0.0.1', /^port 4711 on 127\.0\.0\.1 may not be used by this user$/, /a port above 1023/],
  ['EADDRNOTAVAIL', '::1', /^this machine has no address ::1$/, /host: '127\.0\.0\.1'/],
  ['EADDRNOTAVAIL', '127.0.0.1', /^this machine has no address 127\.0\.0\.1$/, /host: '\[::1\]'/],
  ['EMFILE', '127.0.0.1', /^the login cannot listen on 127\.0\.0\.1 port 4711 \(EMFILE\)$/, /use pasteLogin\(\)/],
  [undefined, '::1', /^the login cannot listen on ::1 port 4711 \(unknown error\)$/, /use pasteLogin\(\)/]
])('who cannot listen because of %s on %s is told what to do', async (code, address, message, hint) => {
  cannotListenOn(address, code)
  const error = await listenForCallback({ host: address === '::1' ? '[::1]' : '127.0.0.1', port: 4_711 }).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: expect.stringMatching(message), hint: expect.stringMatching(hint) })
})

test('T10: in a worker of a cluster the address belongs to that worker alone, so that no other one gets its callback', async () => {
  const listen = vi.spyOn(Server.prototype, 'listen')
  onTestFinished(() => listen.mockRestore())
  await listening({ host: 'localhost' })
  expect(listen.mock.calls.map(([options]) => options)).toEqual([
    expect.objectContaining({ host: '127.0.0.1', exclusive: true }),
    expect.objectContaining({ host: '::1', exclusive: true })
  ])
})
