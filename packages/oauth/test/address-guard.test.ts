import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { resolve } from 'node:path'
import { authFetch, type Dispatch, describeLayer, type McpAuthError, type Road, secrets } from '@mcpauth/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { addressGuard } from '../src/address-guard.ts'
import { authorizationServerClient } from '../src/authorization-server-client.ts'
import { guardedNetwork } from '../src/guarded-network.ts'

const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/ssrf-urls.json')
const corpus: string[] = existsSync(vectors) ? JSON.parse(readFileSync(vectors, 'utf8')) : []
const refused = expect.objectContaining({ code: 'MCPAUTH_ADDRESS_REFUSED' })

function answering(addresses: Record<string, string[] | string[][]>): LookupFunction {
  return (host, _options, callback) => {
    const answers = addresses[host] ?? []
    const turn = Array.isArray(answers[0]) ? ((answers as string[][]).shift() as string[]) : (answers as string[])
    callback(
      null,
      turn.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    )
  }
}

function look(lookup: LookupFunction, host: string, all = true): Promise<unknown> {
  return new Promise((settle, fail) => {
    lookup(host, { all }, (error, address) => (error ? fail(error) : settle(address)))
  })
}

test.skipIf(corpus.length === 0)('N34 T4: every metadata URL of the corpus is refused for a public server', () => {
  const { checkUrl } = addressGuard({ server: new URL('https://mcp.example.com/mcp') })
  for (const text of corpus) {
    if (!URL.canParse(text)) continue
    expect(() => checkUrl(new URL(text), 'the resource metadata'), text).toThrow(refused)
  }
})

test('N34: public https hosts and addresses are allowed', () => {
  const { checkUrl } = addressGuard({ server: new URL('https://mcp.example.com/mcp') })
  for (const url of [
    'https://as.example.com/x',
    'https://93.184.216.34/',
    'https://[2606:2800:220:1:248:1893:25c8:1946]/',
    'https://11.0.0.1/'
  ]) {
    expect(() => checkUrl(new URL(url), 'x'), url).not.toThrow()
  }
})

test.each([
  ['http://127.0.0.1:9/mcp', 'http://127.0.0.1:3000/', true],
  ['http://127.0.0.1:9/mcp', 'http://[::1]:3000/', true],
  ['http://localhost:9/mcp', 'http://127.0.0.1:3000/', true],
  ['http://localhost:9/mcp', 'https://10.0.0.1/', true],
  ['http://localhost:9/mcp', 'http://10.0.0.1/', false],
  ['http://localhost:9/mcp', 'https://169.254.169.254/', false],
  ['https://10.0.0.1/mcp', 'https://10.0.0.9/', true],
  ['https://10.0.0.1/mcp', 'https://127.0.0.1/', false],
  ['https://mcp.corp.internal/mcp', 'https://10.0.0.9/', true],
  ['https://mcp.corp.internal/mcp', 'https://metadata.google.internal/', false],
  ['https://mcp.example.com/mcp', 'https://as.corp.internal/', false],
  ['https://169.254.7.7/mcp', 'https://169.254.7.7/as', true],
  ['https://mcp.example.com/mcp', 'https://user:secret@as.example.com/', false],
  ['https://mcp.example.com/mcp', 'https://user@as.example.com/', false],
  ['https://mcp.example.com/mcp', 'https://:secret@as.example.com/', false],
  ['https://mcp.example.com/mcp', 'http://127.0.0.1:3000/', false],
  ['https://10.0.0.1/mcp', 'http://localhost:3000/', false],
  ['https://mcp.example.com/mcp', 'https://[2606:4700::ffff:1]/', true],
  ['https://mcp.example.com/mcp', 'https://intranet/', false],
  ['https://10.0.0.1/mcp', 'https://metadata./', false],
  ['https://mcp.example.com/mcp', 'https://[fe80::1]/', false],
  ['https://mcp.example.com/mcp', 'https://[::]/', false],
  ['https://mcp.example.com/mcp', 'https://[2002:7f00:1::]/', false],
  ['https://mcp.example.com/mcp', 'https://[::7f00:1]/', false],
  ['https://mcp.example.com/mcp', 'https://100.64.0.1/', false],
  ['https://mcp.example.com/mcp', 'https://255.255.255.255/', false]
])('N34: a server at %s and metadata at %s: reachable %s', (server, url, allowed) => {
  const { checkUrl } = addressGuard({ server: new URL(server) })
  if (allowed) expect(() => checkUrl(new URL(url), 'x')).not.toThrow()
  else expect(() => checkUrl(new URL(url), 'x')).toThrow(refused)
})

const notPublic = [
  '127.0.0.0 127.255.255.255 ::1',
  '10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 100.64.0.0 100.127.255.255 fc00:: fdff:ffff::1',
  '0.0.0.0 0.255.255.255 169.254.0.0 169.254.255.255 192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255 192.88.99.0 192.88.99.255',
  '198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.254',
  '168.63.129.16 ::2 ::ffff:1 64:ff9b:: 64:ff9b::ffff:ffff 64:ff9b:1:: 64:ff9b:1:ffff::1 100:: 100::ffff:ffff:ffff:ffff 2001:: 2001:1ff:ffff::1',
  '2001:db8:: 2001:db8:ffff::1 2002:: 2002:ffff::1 3fff:: 3fff:fff:ffff::1 5f00:: 5f00:ffff::1 fe80:: febf:ffff::1 fec0:: feff:ffff::1 ff00:: ffff::1'
]
const besideThem = [
  '126.255.255.255 128.0.0.0 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 100.63.255.255 100.128.0.0',
  '1.0.0.0 169.253.255.255 169.255.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 198.17.255.255 198.20.0.0',
  '198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.15 168.63.129.17 fbff:ffff::1 ::1:0:0:1',
  '64:ff9b:0:1::1 64:ff9b:2::1 100:0:0:1::1 2001:200::1 2001:db7:ffff::1 2001:db9::1 2003:: 3ffe:ffff::1 3fff:1000:: 5eff:ffff::1 5f01::'
]

test('N34: every range that is not public ends where the registries end it (RFC 6890)', () => {
  const { checkUrl } = addressGuard({ server: new URL('https://mcp.example.com/mcp') })
  const urlOf = (address: string): URL => new URL(address.includes(':') ? `https://[${address}]/` : `https://${address}/`)
  for (const address of notPublic.flatMap((line) => line.split(' '))) expect(() => checkUrl(urlOf(address), 'x'), address).toThrow(refused)
  for (const address of besideThem.flatMap((line) => line.split(' '))) expect(() => checkUrl(urlOf(address), 'x'), address).not.toThrow()
})

test.each(['metadata', 'metadata.google.internal', 'metadata.goog', 'instance-data.ec2.internal'])(
  'N34: a metadata service is no authorization server, also for a server on a private network: %s',
  (name) => {
    for (const server of ['https://mcp.example.com/mcp', 'https://10.0.0.1/mcp', 'http://localhost:1/mcp'])
      expect(() => addressGuard({ server: new URL(server) }).checkUrl(new URL(`https://${name}/`), 'x'), server).toThrow(
        expect.objectContaining({ message: expect.stringContaining('metadata service') })
      )
  }
)

test.each(['as.internal', 'as.local', 'as.home.arpa'])('N34: %s is on a private network by its name', (name) => {
  const reach = (server: string) => () => addressGuard({ server: new URL(server) }).checkUrl(new URL(`https://${name}/`), 'x')
  expect(reach('https://mcp.example.com/mcp')).toThrow(refused)
  expect(reach('https://10.0.0.1/mcp')).not.toThrow()
})

test('N34: what the user allows for http is http: another scheme is still refused', () => {
  const { checkUrl } = addressGuard({ server: new URL('http://mcp.example.com/mcp'), dangerouslyAllowHttp: true })
  expect(() => checkUrl(new URL('http://as.example.com/'), 'x')).not.toThrow()
  for (const url of ['ftp://as.example.com/', 'file:///etc/passwd', 'javascript:alert(1)', 'data:,x', 'ws://as.example.com/']) {
    const { host, protocol } = new URL(url)
    expect(() => checkUrl(new URL(url), 'x'), url).toThrow(
      expect.objectContaining({ message: `x is at ${host || protocol}, which is refused: its scheme is ${protocol}` })
    )
  }
})

test('the refusal names what and where, and never the user name in the URL', () => {
  const { checkUrl } = addressGuard({ server: new URL('https://mcp.example.com/mcp') })
  const error = (() => {
    try {
      checkUrl(new URL('https://root:hunter2hunter2@192.168.0.1/'), 'the token endpoint')
    } catch (caught) {
      return caught as McpAuthError
    }
    throw new Error('not refused')
  })()
  expect(error.message).toContain('the token endpoint is at 192.168.0.1')
  expect(JSON.stringify(error) + error.message + error.hint).not.toContain('hunter2')
})

test('T13: the refusal does not name a host that the server has made of a secret', async () => {
  secrets.add('the-secret-as-a-host', 'access_token')
  const { checkUrl, lookup } = addressGuard({ server: new URL('https://mcp.example.com/mcp'), lookup: answering({}) })
  expect(() => checkUrl(new URL('https://the-secret-as-a-host.local'), 'the metadata')).toThrow('is at [REDACTED:access_token].local')
  await expect(look(lookup, 'the-secret-as-a-host.example', false)).rejects.toThrow('[REDACTED:access_token].example has no address')
})

test('N34 T4: at connect time one refused address among several refuses the name', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    lookup: answering({
      'mcp.example.com': ['93.184.216.34'],
      'as.example.com': ['93.184.216.35', '10.0.0.1'],
      'ok.example.com': ['93.184.216.35']
    })
  })
  await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
  await expect(look(lookup, 'ok.example.com')).resolves.toEqual([{ address: '93.184.216.35', family: 4 }])
  await expect(look(lookup, 'ok.example.com', false)).resolves.toBe('93.184.216.35')
})

test('N34 T4: all addresses of a name are asked for and checked, also when the connection wants one', async () => {
  const asked: object[] = []
  const first: LookupFunction = (_host, options, callback) => {
    asked.push(options)
    if (options.all)
      callback(null, [
        { address: '93.184.216.35', family: 4 },
        { address: '10.0.0.1', family: 4 }
      ])
    else callback(null, '93.184.216.35', 4)
  }
  const { lookup } = addressGuard({ server: new URL('https://93.184.216.34/mcp'), lookup: first })
  await expect(look(lookup, 'as.example.com', false)).rejects.toThrow(refused)
  await new Promise((settle) => lookup('as.example.com', { family: 4, hints: 1 }, settle))
  expect(asked.at(-1)).toEqual({ family: 4, hints: 1, all: true })
})

test('N34 T4: a resolver that gives one address is checked like any other', async () => {
  const one =
    (address: string): LookupFunction =>
    (_host, _options, callback) =>
      callback(null, address, 4)
  const guarded = (address: string) => addressGuard({ server: new URL('https://93.184.216.34/mcp'), lookup: one(address) }).lookup
  await expect(look(guarded('10.0.0.1'), 'as.example.com')).rejects.toThrow(refused)
  await expect(look(guarded('93.184.216.35'), 'as.example.com')).resolves.toEqual([{ address: '93.184.216.35', family: 4 }])
  await expect(look(guarded('2606:4700::1'), 'as.example.com')).resolves.toEqual([{ address: '2606:4700::1', family: 6 }])
})

test('a name without an address, or that nobody knows, is an error of the network and not a connection', async () => {
  const nowhere = addressGuard({ server: new URL('https://mcp.example.com/mcp'), lookup: answering({}) })
  await expect(look(nowhere.lookup, 'as.example.com', false)).rejects.toMatchObject({ code: 'MCPAUTH_NETWORK' })
  const unknown: LookupFunction = (_host, _options, callback) => callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), '')
  const { lookup } = addressGuard({ server: new URL('https://mcp.example.com/mcp'), lookup: unknown })
  await expect(look(lookup, 'as.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
})

test('N34: a server whose own name cannot be resolved counts as public', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    lookup: (host, options, callback) =>
      host === 'mcp.example.com' ? callback(new Error('no'), '') : answering({ 'as.example.com': ['10.0.0.1'] })(host, options, callback)
  })
  await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
})

test.each([
  [['127.0.0.1'], '127.0.0.1', true],
  [['127.0.0.1'], '10.0.0.1', true],
  [['10.0.0.1', '127.0.0.1'], '127.0.0.1', false],
  [['169.254.1.1', '10.0.0.1'], '10.0.0.2', false],
  [['169.254.1.1'], '169.254.1.1', false]
])('N34 T4: a server whose name leads to %j may name a host at %s: %s', async (at, address, allowed) => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    lookup: answering({ 'mcp.example.com': at, 'as.example.com': [address] })
  })
  if (allowed) await expect(look(lookup, 'as.example.com')).resolves.toHaveLength(1)
  else await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
})

test('T4: what the server’s name led to first counts, whatever the resolver says later', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    lookup: answering({ 'mcp.example.com': [['93.184.216.34'], ['10.0.0.1'], ['10.0.0.1']], 'as.example.com': ['10.0.0.2'] })
  })
  await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
  await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
})

test('a proxy of the environment that is no URL is an error of the request, and of nothing else', async () => {
  for (const name of ['HTTP_PROXY', 'http_proxy']) vi.stubEnv(name, 'http://[')
  onTestFinished(() => void vi.unstubAllEnvs())
  const dispatch = guardedNetwork(addressGuard({ server: new URL('https://mcp.example.com/mcp') }))
  const failed = await new Promise((settle) => {
    const onResponseError = (_controller: unknown, error: Error): void => settle(error)
    const handler = { onResponseError } as never
    expect(dispatch({ origin: 'https://as.example.com', path: '/', method: 'GET' }, handler)).toBe(true)
  })
  expect(failed).toBeInstanceOf(Error)
})

test('N34: an IPv4 address in IPv6 clothes is refused, even a public one; so is what a NAT64 makes of a private one', async () => {
  for (const address of ['::ffff:93.184.216.34', '::ffff:5db8:d822', '64:ff9b::a00:1']) {
    const { lookup } = addressGuard({
      server: new URL('https://mcp.example.com/mcp'),
      lookup: answering({ 'mcp.example.com': ['93.184.216.34'], 'as.example.com': [address] })
    })
    await expect(look(lookup, 'as.example.com'), address).rejects.toMatchObject({
      code: 'MCPAUTH_ADDRESS_REFUSED',
      message: expect.stringContaining('that address is reserved')
    })
  }
})

test('N34: the server itself is always within reach, wherever its name leads', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://MCP.example.com./mcp'),
    lookup: answering({ 'mcp.example.com': ['169.254.7.7', '93.184.216.34'], 'mcp.example.com.': ['169.254.7.7', '93.184.216.34'] })
  })
  await expect(look(lookup, 'mcp.example.com')).resolves.toHaveLength(2)
  await expect(look(lookup, 'mcp.example.com.')).resolves.toHaveLength(2)
})

test('N34: a named server that is on the private network itself may name a host there, but not one on this machine', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.corp.example/mcp'),
    lookup: answering({ 'mcp.corp.example': ['10.1.1.1'], 'as.corp.example': ['10.1.1.2'], 'evil.example': ['127.0.0.1'] })
  })
  await expect(look(lookup, 'as.corp.example')).resolves.toHaveLength(1)
  await expect(look(lookup, 'evil.example')).rejects.toThrow(refused)
})

test('T4: a server whose name has a public address as well does not count as private', async () => {
  const { lookup } = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    lookup: answering({ 'mcp.example.com': ['10.1.1.1', '93.184.216.34'], 'as.example.com': ['10.1.1.2'] })
  })
  await expect(look(lookup, 'as.example.com')).rejects.toThrow(refused)
})

test('T4: the canary behind a name that resolves to this machine receives no connection', async () => {
  let connections = 0
  const canary = createServer((_request, response) => response.end('reached'))
  canary.on('connection', () => {
    connections += 1
  })
  await new Promise<void>((done) => canary.listen(0, '127.0.0.1', done))
  onTestFinished(() => void canary.close())
  const { port } = canary.address() as AddressInfo
  const names = { 'mcp.example.com': ['93.184.216.34'], 'as.example.com': ['127.0.0.1'] }

  const reach = (server: string): Promise<string> => {
    const guard = addressGuard({ server: new URL(server), lookup: answering(names), dangerouslyAllowHttp: true })
    const dispatch = guardedNetwork(guard)
    return new Promise((settle) => {
      dispatch(
        { origin: `http://as.example.com:${port}`, path: '/', method: 'GET' },
        {
          onRequestStart() {},
          onResponseStart: (_controller, status) => settle(String(status)),
          onResponseData() {},
          onResponseEnd() {},
          onResponseError: (_controller, error) => settle((error as McpAuthError).code)
        }
      )
    })
  }
  await expect(reach('https://mcp.example.com/mcp')).resolves.toBe('MCPAUTH_ADDRESS_REFUSED')
  expect(connections).toBe(0)
  // The control: the same name is reached for a server on this machine, so the canary does listen.
  await expect(reach('http://localhost:1/mcp')).resolves.toBe('200')
  expect(connections).toBe(1)
})

test('T4: on a road of its own the guard is in the network end; where the caller chose a dispatcher, that one is used', async () => {
  const roads: Road[] = []
  const server = new URL('http://127.0.0.1:1/mcp')
  const layer = describeLayer(
    (dispatch, road) => {
      if (road) roads.push(road)
      return (options, handler) => dispatch(options, handler)
    },
    { kind: 'observer', server, sets: [] }
  )
  const given: Dispatch = (_options, handler) => {
    handler.onResponseError?.({} as never, new Error('the given dispatcher'))
    return true
  }
  await using own = authFetch(layer)
  await using chosen = authFetch(layer, { dispatcher: { dispatch: given } })
  await Promise.allSettled([own(server), chosen(server)])

  const guard = addressGuard({
    server: new URL('https://mcp.example.com/mcp'),
    dangerouslyAllowHttp: true,
    lookup: answering({ 'mcp.example.com': ['93.184.216.34'], 'as.example.com': ['127.0.0.1'] })
  })
  const ends = roads.map(
    (road) =>
      new Promise((settle) => {
        const handler = { onRequestStart() {}, onResponseStart() {}, onResponseData() {}, onResponseEnd() {} }
        const onResponseError = (_controller: unknown, error: Error): void => settle(error.message)
        guardedNetwork(guard, road)({ origin: 'http://as.example.com:1', path: '/', method: 'GET' }, { ...handler, onResponseError })
      })
  )
  expect((await Promise.all(ends)).sort()).toEqual([
    expect.stringContaining('a host is at as.example.com (127.0.0.1)'),
    'the given dispatcher'
  ])
})

test('N31: what goes to this machine in clear text passes a proxy of the environment by: it would read codes and refresh tokens', async () => {
  const server = createServer((_request, response) => response.end('direct'))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  for (const name of ['HTTP_PROXY', 'http_proxy']) vi.stubEnv(name, 'http://127.0.0.1:1')
  for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '')
  onTestFinished(() => void vi.unstubAllEnvs())
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/token`)
  const guard = addressGuard({ server: url })
  const client = authorizationServerClient(() => guardedNetwork(guard), guard)
  expect(await (await client.send(url, 'the refresh', { method: 'POST', headers: {}, body: 'refresh_token=x' })).text()).toBe('direct')
})

test('a proxy of the environment is reached wherever it is, and resolves by itself: there only literals are checked', async () => {
  const asked: string[] = []
  const proxy = createServer((request, response) => response.end(request.url))
  proxy.on('connect', (request, socket) => {
    asked.push(request.url as string)
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    proxy.emit('connection', socket)
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  onTestFinished(() => void proxy.close())
  for (const name of ['HTTP_PROXY', 'http_proxy']) vi.stubEnv(name, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '')
  onTestFinished(() => void vi.unstubAllEnvs())

  const guard = addressGuard({ server: new URL('https://mcp.example.com/mcp'), lookup: answering({}), dangerouslyAllowHttp: true })
  const dispatch = guardedNetwork(guard)
  const status = await new Promise((settle) => {
    dispatch(
      { origin: 'http://as.example.com', path: '/metadata', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart: (_controller, code) => settle(code),
        onResponseData() {},
        onResponseEnd() {},
        onResponseError: (_controller, error) => settle(error.message)
      }
    )
  })
  expect(status).toBe(200)
  expect(asked.every((target) => target === 'as.example.com:80')).toBe(true)
  expect(() => guard.checkUrl(new URL('https://10.0.0.1/'), 'x')).toThrow(refused)
})
