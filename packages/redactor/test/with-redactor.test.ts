import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Dispatch, type DispatchHandler, type DispatchOptions, layer, literals, secrets } from '@mcpauth/core'
import { Agent, fetch } from 'undici'
import { afterEach, describe, expect, test } from 'vitest'
import { withRedactor } from '../src/index.ts'

const secret = 'canary-of-the-layer-tests'
secrets.add(secret)
const folder = mkdtempSync(join(tmpdir(), 'mcpauth-redactor-'))
const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  rmSync(folder, { recursive: true, force: true })
})

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function har(name: string): string {
  return join(mkdtempSync(join(tmpdir(), 'mcpauth-har-')), name)
}

type Line = Record<string, never> & { requestHeaders: Record<string, string>; url: string }

function lines(): { log: (line: string) => void; seen: string[]; parsed(): Line[] } {
  const seen: string[] = []
  return { log: (line) => seen.push(line), seen, parsed: () => seen.map((line) => JSON.parse(line) as Line) }
}

const answer = (_request: unknown, response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'sid=abc', 'mcp-session-id': 'session-of-someone' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { access_token: 'abc', text: secret } }))
}

describe('the log', () => {
  test('T13: a line of JSON per exchange, without secrets and without bodies', async () => {
    const origin = await listen(answer)
    const { log, seen, parsed } = lines()
    literals.add('acme-tenant-literal')
    const dispatcher = new Agent().compose(withRedactor(`${origin}/mcp`, { log }) as never)
    const response = await fetch(`${origin}/mcp?token=abcdef&page=2`, {
      method: 'POST',
      body: '{"a":1}',
      headers: { Authorization: `Bearer ${secret}`, 'X-Tenant-Key': 'acme-tenant-literal', 'X-Other': `a ${secret}` },
      dispatcher
    })
    expect(await response.json()).toMatchObject({ result: { text: secret } })
    expect(parsed()).toHaveLength(1)
    expect(parsed()[0]).toMatchObject({
      id: 1,
      method: 'POST',
      url: `${origin}/mcp?token=[REDACTED]&page=2`,
      status: 200,
      requestBytes: 7,
      responseBytes: 91,
      requestHeaders: { Authorization: '[REDACTED]', 'X-Tenant-Key': 'acme-tenant-literal', 'X-Other': 'a [REDACTED]' },
      responseHeaders: { 'set-cookie': '[REDACTED]', 'mcp-session-id': '[REDACTED]', 'content-type': 'application/json' }
    })
    expect(seen.join('')).not.toMatch(/canary|abcdef|session-of|requestBody|sid=/)
  })

  test.each(['token: "abc', "token: 'abc", 'token=`abc'])(
    'T14: what the server says, as %j, hides nothing else of its line',
    async (said) => {
      const origin = await listen((_request, response) => void response.setHeader('x-says', said).end())
      const { log, parsed } = lines()
      const dispatcher = new Agent().compose(withRedactor(origin, { log }) as never)
      await fetch(`${origin}/it's/"here`, { dispatcher })
      expect(parsed()[0]).toMatchObject({
        method: 'GET',
        status: 200,
        responseBytes: 0,
        responseHeaders: { 'x-says': said.replace('abc', '[REDACTED]') }
      })
    }
  )

  test('T13: a parameter is known by its name, however that is written', async () => {
    const origin = await listen(answer)
    const { log, parsed } = lines()
    const dispatcher = new Agent().compose(withRedactor(`${origin}/mcp`, { log }) as never)
    await (await fetch(`${origin}/mcp?api%5Fkey=private&token[]=private&user[password]=private&page=2`, { dispatcher })).text()
    expect(parsed()[0]?.url).toBe(`${origin}/mcp?api%5Fkey=[REDACTED]&token[]=[REDACTED]&user[password]=[REDACTED]&page=2`)
  })

  test('T13: with bodies, JSON is shown as JSON without secrets', async () => {
    const origin = await listen(answer)
    const { log, parsed } = lines()
    const dispatcher = new Agent().compose(withRedactor(origin, { log, bodies: true }) as never)
    const { request } = await import('undici')
    await (await request(origin, { method: 'POST', body: '{"password":"abc","n":1}', dispatcher })).body.text()
    expect(parsed()[0]).toMatchObject({
      requestBody: { password: '[REDACTED]', n: 1 },
      responseBody: { jsonrpc: '2.0', id: 1, result: { access_token: '[REDACTED]', text: '[REDACTED]' } }
    })
  })

  test('T13: an event stream is told event by event while it runs, and is not held back', async () => {
    let stream: ServerResponse | undefined
    const origin = await listen((_request, response) => {
      stream = response
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`event: message\r\ndata: {"password":"abc",\r\ndata: "text":"${secret.slice(0, 9)}`)
    })
    const { log, parsed } = lines()
    const dispatcher = new Agent().compose(withRedactor(origin, { log, bodies: true }) as never)
    const response = await fetch(origin, { dispatcher })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    // The first part arrives although its event is not complete.
    expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toContain('event: message')
    expect(parsed()).toEqual([])
    stream?.write(`${secret.slice(9)}"}\r\n\r\n`)
    await reader.read()
    expect(parsed()).toEqual([{ id: 1, event: 'message', data: { password: '[REDACTED]', text: '[REDACTED]' } }])
    stream?.end()
    while (!(await reader.read()).done);
    expect(parsed()[1]).toMatchObject({ id: 1, status: 200 })
  })

  test('a request that fails is told with its error, and the error reaches the caller as it is', async () => {
    const origin = await listen((request) => request.socket.destroy())
    const { log, parsed } = lines()
    const dispatcher = new Agent().compose(withRedactor(origin, { log }) as never)
    await expect(fetch(origin, { dispatcher })).rejects.toThrow('fetch failed')
    expect(parsed()[0]).toMatchObject({ status: 0, error: 'other side closed' })
  })

  test('a sink that throws harms no request', async () => {
    const origin = await listen(answer)
    const broken = (): never => {
      throw new Error('full')
    }
    const dispatcher = new Agent().compose(withRedactor(origin, { log: broken, har: '/nowhere/at/all.har' }) as never)
    expect((await fetch(origin, { dispatcher })).status).toBe(200)
  })
})

describe('the HAR file', () => {
  test('T13: only what is allowed is in it, and it is whole JSON after every entry', async () => {
    const origin = await listen(answer)
    const file = har('session.har')
    const layerOptions = { har: { file, headers: ['X-Shown'], query: ['page'], bodyKeys: ['jsonrpc', 'method'] } }
    const dispatcher = new Agent().compose(withRedactor(origin, layerOptions) as never)
    for (let i = 1; i <= 3; i++) {
      const headers = { 'X-Shown': 'shown', 'X-Unknown': 'an innocent looking word', Authorization: 'Basic abc' }
      const { request } = await import('undici')
      const sent = await request(`${origin}/p?page=${i}&q=private`, {
        method: 'POST',
        headers,
        body: '{"jsonrpc":"2.0","method":"m","x":"private"}',
        dispatcher
      })
      await sent.body.dump()
      const { log } = JSON.parse(readFileSync(file, 'utf8'))
      expect(log).toMatchObject({ version: '1.2', creator: { name: 'mcpauth' } })
      expect(log.entries).toHaveLength(i)
    }
    const text = readFileSync(file, 'utf8')
    expect(text).not.toMatch(/private|innocent|Basic abc|canary|sid=|session-of/)
    const [entry] = JSON.parse(text).log.entries
    expect(entry.request).toMatchObject({
      method: 'POST',
      url: `${origin}/p?page=1&q=[REDACTED]`,
      queryString: [
        { name: 'page', value: '1' },
        { name: 'q', value: '[REDACTED]' }
      ],
      postData: { mimeType: 'application/json', text: '{"jsonrpc":"2.0","method":"m","x":"[REDACTED]"}' }
    })
    expect(entry.request.headers).toContainEqual({ name: 'X-Shown', value: 'shown' })
    expect(entry.request.headers).toContainEqual({ name: 'X-Unknown', value: '[REDACTED]' })
    expect(entry.response.content).toMatchObject({ size: 91, mimeType: 'application/json' })
    expect(Object.keys(entry)).toEqual(['startedDateTime', 'time', 'request', 'response', 'cache', 'timings'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('T13: a secret that the server makes the name of a header is not in it', async () => {
    const origin = await listen((_request, response) => void response.setHeader(secret, '1').end())
    const file = har('names.har')
    const dispatcher = new Agent().compose(withRedactor(origin, { har: file }) as never)
    await fetch(origin, { dispatcher })
    const { entries } = JSON.parse(readFileSync(file, 'utf8')).log
    expect(entries[0].response.headers).toContainEqual({ name: '[REDACTED]', value: '[REDACTED]' })
    expect(JSON.stringify(entries)).not.toContain(secret)
  })

  test('T13: a redirect is told without what its target carries, and where it goes on is not written down at all', async () => {
    const origin = await listen((request, response) => {
      if (request.url?.startsWith('/elsewhere')) return void response.end('there')
      response
        .writeHead(307, 'private words', { location: '/elsewhere?code=private&page=1&private-words-too#private-words' })
        .end('private')
    })
    const file = har('redirect.har')
    const dispatcher = new Agent().compose(withRedactor(`${origin}/mcp`, { har: { file, query: ['page'] } }) as never)
    expect(await (await fetch(`${origin}/mcp`, { dispatcher })).text()).toBe('there')
    const { entries } = JSON.parse(readFileSync(file, 'utf8')).log
    expect(entries).toHaveLength(1)
    expect(entries[0].response).toMatchObject({ status: 307, redirectURL: '/elsewhere?code=[REDACTED]&page=1&[REDACTED]=' })
    expect(JSON.stringify(entries)).not.toMatch(/private-words|=private|"private"/)
  })

  test.skipIf(process.platform === 'win32')('T11: a file that was there before and that others can read is theirs no more', async () => {
    const origin = await listen(answer)
    const file = har('open.har')
    writeFileSync(file, 'old', { mode: 0o644 })
    const dispatcher = new Agent().compose(withRedactor(origin, { har: file }) as never)
    await fetch(origin, { dispatcher })
    expect(JSON.parse(readFileSync(file, 'utf8')).log.entries).toHaveLength(1)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('T11: a link planted in its place is not written through', async () => {
    const origin = await listen(answer)
    const file = har('link.har')
    writeFileSync(`${file}.target`, 'mine')
    symlinkSync(`${file}.target`, file)
    const dispatcher = new Agent().compose(withRedactor(origin, { har: file }) as never)
    await fetch(origin, { dispatcher })
    expect(readFileSync(`${file}.target`, 'utf8')).toBe('mine')
  })
})

describe('the layer', () => {
  test('a request to anything else passes with the very same objects', () => {
    const options: DispatchOptions = { origin: 'https://other.example', path: '/mcp', method: 'GET' }
    const handler: DispatchHandler = { onRequestStart: () => {} }
    const passed: unknown[] = []
    const next: Dispatch = (o, h) => passed.push(o, h) > 0
    withRedactor('https://mcp.example.com/mcp', { log: () => {} })(next)(options, handler)
    expect(passed[0]).toBe(options)
    expect(passed[1]).toBe(handler)
  })

  test('it says what it is, and checks its options at construction', () => {
    const url = 'https://mcp.example.com/mcp'
    expect(withRedactor(url, { log: () => {} })[layer]).toMatchObject({ kind: 'observer', sets: [] })
    const invalid = expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' })
    expect(() => withRedactor(url, {})).toThrowError(invalid)
    expect(() => withRedactor(url, { log: () => {}, maxBodyBytes: -1 })).toThrowError(invalid)
    expect(() => withRedactor('http://mcp.example.com/', { log: () => {} })).toThrowError(
      expect.objectContaining({ code: 'MCPAUTH_INSECURE_URL' })
    )
    expect(existsSync('undefined')).toBe(false)
  })

  test('only the hooks that the handler has are given on, beside those that every request has', () => {
    const given: DispatchHandler[] = []
    const dispatch = withRedactor('https://h/', { log: () => {} })((_options, handler) => given.push(handler) > 0)
    dispatch({ origin: 'https://h', path: '/', method: 'GET' }, { onRequestStart: () => {} })
    expect(given[0]?.onRequestUpgrade).toBeUndefined()
    expect(given[0]?.onBodySent).toBeUndefined()
  })
})
