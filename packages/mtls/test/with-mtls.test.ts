import { createPrivateKey } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { chmodSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { authFetch, type Interceptor, layer, McpAuthError, secrets } from '@mcpauth/core'
import { Agent, fetch, request } from 'undici'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type MtlsOptions, withMtls } from '../src/index.ts'
import { type Authority, createAuthority, type IssuedCertificate } from './certificates.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { tlsServer } from './tls-server.ts'

let serverAuthority: Authority
let clientAuthority: Authority
let serverCertificate: IssuedCertificate
let client: IssuedCertificate
/** Everything in the environment: most tests need no files. */
let environment: Record<string, string>
const identity = { cert: { env: 'CERT' }, key: { env: 'KEY' } }

beforeAll(async () => {
  ;[serverAuthority, clientAuthority] = await Promise.all([createAuthority('servers'), createAuthority('clients')])
  ;[serverCertificate, client] = await Promise.all([
    serverAuthority.issue({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'] }),
    clientAuthority.issue({ commonName: 'client-one' })
  ])
  environment = { CERT: client.cert, KEY: client.key, CA: serverAuthority.cert }
})

/** Behind the layer stands an agent that trusts the servers, too, so that nothing fails for want of trust. */
function through(interceptor: Interceptor & Partial<AsyncDisposable>) {
  const agent = new Agent({ connect: { ca: serverAuthority.cert } })
  onTestFinished(async () => {
    await agent.destroy()
    await interceptor[Symbol.asyncDispose]?.()
  })
  return agent.compose(interceptor as never)
}

async function get(url: string, interceptor: Interceptor): Promise<string> {
  const { body } = await request(url, { dispatcher: through(interceptor) })
  return body.text()
}

async function fetched(url: string, interceptor: Interceptor): Promise<string> {
  const send = authFetch(interceptor)
  onTestFinished(() => send[Symbol.asyncDispose]())
  return (await send(url, { method: 'POST', body: '{}' })).text()
}

async function failure(work: Promise<unknown>): Promise<McpAuthError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (!McpAuthError.is(error)) throw new Error(`expected an McpAuthError, got ${inspect(error)}`)
  return error
}

const standard = (options: MtlsOptions = {}): MtlsOptions => ({ ...identity, ca: { env: 'CA' }, env: environment, ...options })

describe('the client certificate', () => {
  test('is shown to its server, on every path of the origin', async () => {
    const { url, seen } = await tlsServer(serverCertificate)
    const interceptor = withMtls(url, standard())
    expect(await get(url, interceptor)).toBe('ok')
    expect(await get(url.replace('/mcp', '/other'), interceptor)).toBe('ok')
    expect(seen.map(({ client, path }) => [client, path])).toEqual([
      ['client-one', '/mcp'],
      ['client-one', '/other']
    ])
  })

  test('is not shown to a second TLS server', async () => {
    const [first, second] = [await tlsServer(serverCertificate), await tlsServer(serverCertificate)]
    const interceptor = withMtls(first.url, standard())
    await get(first.url, interceptor)
    await get(second.url, interceptor)
    // The same machine and port under another name is another origin.
    await get(first.url.replace('localhost', '127.0.0.1'), interceptor)
    expect(second.seen.map(({ client }) => client)).toEqual([undefined])
    expect(first.seen.map(({ client }) => client)).toEqual(['client-one', undefined])
  })

  test('T6: does not follow a redirect to a second TLS server', async () => {
    const second = await tlsServer(serverCertificate)
    const first = await tlsServer(serverCertificate, (response) => void response.writeHead(307, { location: second.url }).end())
    const answer = await fetch(first.url, { method: 'POST', body: '{}', dispatcher: through(withMtls(first.url, standard())) })
    expect(await answer.text()).toBe('ok')
    expect(first.seen[0]?.client).toBe('client-one')
    expect(second.seen[0]?.client).toBeUndefined()
  })

  test('N43: is shown to the origins named in also', async () => {
    const [first, second] = [await tlsServer(serverCertificate), await tlsServer(serverCertificate)]
    await get(second.url, withMtls(first.url, standard({ also: [second.url] })))
    expect(second.seen[0]?.client).toBe('client-one')
  })

  test('carries the headers of other layers', async () => {
    const { url, seen } = await tlsServer(serverCertificate)
    const { body } = await request(url, {
      headers: { authorization: 'Bearer of-another-layer' },
      dispatcher: through(withMtls(url, standard()))
    })
    await body.text()
    expect(seen[0]).toMatchObject({ client: 'client-one', authorization: 'Bearer of-another-layer' })
  })

  test('works in authFetch, whose end closes the connections', async () => {
    const { url, seen, allClosed } = await tlsServer(serverCertificate)
    const send = authFetch(withMtls(url, standard()))
    const answer = await send(url, { method: 'POST', body: '{}' })
    expect(await answer.text()).toBe('ok')
    expect(seen[0]?.client).toBe('client-one')
    await send[Symbol.asyncDispose]()
    await allClosed
  })

  test.each([
    [
      'in files',
      (write: (name: string, text: string) => string) => ({
        cert: { file: write('c.pem', client.cert) },
        key: { file: write('k.pem', client.key) }
      })
    ],
    [
      'in one file, the key first',
      (write: (name: string, text: string) => string) => {
        const both = { file: write('both.pem', client.key + client.cert) }
        return { cert: both, key: both }
      }
    ],
    [
      'in one file, the certificate first',
      (write: (name: string, text: string) => string) => {
        const both = { file: write('both.pem', `${client.cert}\n${client.key}`) }
        return { cert: both, key: both }
      }
    ]
  ])('may be %s', async (_, options) => {
    const { url, seen } = await tlsServer(serverCertificate)
    await get(url, withMtls(url, standard(options(temporaryFolder().write))))
    expect(seen[0]?.client).toBe('client-one')
  })

  test('may be in variables of one line', async () => {
    const { url, seen } = await tlsServer(serverCertificate)
    const flat = Object.fromEntries(Object.entries(environment).map(([name, pem]) => [name, pem.trimEnd().replaceAll('\n', '\\n')]))
    await get(url, withMtls(url, standard({ env: flat })))
    expect(seen[0]?.client).toBe('client-one')
  })

  test('may have an encrypted key, whose passphrase becomes a secret', async () => {
    const { url, seen } = await tlsServer(serverCertificate)
    const key = encrypted(client.key, 'canary-passphrase')
    await get(url, withMtls(url, standard({ passphrase: { env: 'PASS' }, env: { ...environment, KEY: key, PASS: 'canary-passphrase' } })))
    expect(seen[0]?.client).toBe('client-one')
    expect(secrets.redact('a canary-passphrase b')).not.toContain('canary-passphrase')
  })

  test('describes itself to authFetch', () => {
    const description = withMtls('https://mcp.example.com/mcp', standard())[layer]
    expect(description).toMatchObject({ kind: 'connection', sets: [] })
  })
})

function encrypted(pem: string, passphrase: string): string {
  return createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }) as string
}

describe('trust', () => {
  test('own authorities are added to those of node, or replace them', async () => {
    const other = await createAuthority('other servers')
    const [ours, theirs] = [
      await tlsServer(serverCertificate),
      await tlsServer(await other.issue({ commonName: 'localhost', hosts: ['localhost'] }))
    ]
    const before = getCACertificates('default')
    setDefaultCACertificates([other.cert])
    onTestFinished(() => setDefaultCACertificates(before))
    const layerFor = (caMode?: 'add' | 'replace') => withMtls(ours.url, standard({ also: [theirs.url], ...(caMode ? { caMode } : {}) }))
    expect(await get(ours.url, layerFor())).toBe('ok')
    expect(await get(theirs.url, layerFor())).toBe('ok')
    expect(await get(ours.url, layerFor('replace'))).toBe('ok')
    expect((await failure(get(theirs.url, layerFor('replace')))).code).toBe('MCPAUTH_TLS')
  })

  test('several bundles may be given, and no client certificate', async () => {
    const other = await createAuthority('other servers')
    const { url, seen } = await tlsServer(serverCertificate)
    const ca = [{ env: 'OTHER' }, { env: 'CA' }]
    expect(await get(url, withMtls(url, { ca, env: { ...environment, OTHER: other.cert } }))).toBe('ok')
    expect(seen[0]?.client).toBeUndefined()
  })

  test('another server name is asked for and checked', async () => {
    const certificate = await serverAuthority.issue({ commonName: 'mcp.internal', hosts: ['mcp.internal'] })
    const { url, seen } = await tlsServer(certificate)
    await get(url, withMtls(url, standard({ serverName: 'mcp.internal' })))
    expect(seen[0]?.serverName).toBe('mcp.internal')
  })
})

describe('a failed handshake is an error that says what to do', () => {
  test('unknown authority', async () => {
    const { url } = await tlsServer(serverCertificate)
    const error = await failure(get(url, withMtls(url, { ...identity, env: environment })))
    expect(error).toMatchObject({ code: 'MCPAUTH_TLS', hint: expect.stringContaining('ca:') })
    expect(error.message).toContain('authority that is not trusted')
  })

  test('another host name', async () => {
    const { url } = await tlsServer(await serverAuthority.issue({ commonName: 'elsewhere', hosts: ['elsewhere.example'] }))
    const error = await failure(get(url, withMtls(url, standard())))
    expect(error).toMatchObject({ code: 'MCPAUTH_TLS', hint: expect.stringContaining('serverName') })
  })

  test.each([
    ['expired', { notAfter: new Date(Date.now() - 3_600_000) }],
    ['not valid yet', { notBefore: new Date(Date.now() + 3_600_000) }]
  ])("the server's certificate is %s", async (fact, validity) => {
    const { url } = await tlsServer(await serverAuthority.issue({ commonName: 'localhost', hosts: ['localhost'], ...validity }))
    const error = await failure(get(url, withMtls(url, standard())))
    expect(error.code).toBe('MCPAUTH_TLS')
    expect(error.message).toContain(fact)
  })

  test('no TLS version in common', async () => {
    const { url } = await tlsServer({ ...serverCertificate, maxVersion: 'TLSv1.2' })
    const error = await failure(get(url, withMtls(url, standard({ minVersion: 'TLSv1.3' }))))
    expect(error).toMatchObject({ code: 'MCPAUTH_TLS', hint: expect.stringContaining('minVersion') })
  })

  const demanding = (maxVersion: 'TLSv1.2' | 'TLSv1.3') =>
    tlsServer({ ...serverCertificate, ca: clientAuthority.cert, rejectUnauthorized: true, maxVersion })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('a client certificate is demanded (node, %s)', async (maxVersion) => {
    const { url, seen } = await demanding(maxVersion)
    const error = await failure(fetched(url, withMtls(url, { ca: { env: 'CA' }, env: environment })))
    expect(error.code).toBe('MCPAUTH_TLS')
    expect(`${error.message} ${error.hint}`).toContain('demand a client certificate')
    expect(seen).toEqual([])
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('the client certificate is refused (node, %s)', async (maxVersion) => {
    const { url, seen } = await demanding(maxVersion)
    const stranger = await (await createAuthority('strangers')).issue({ commonName: 'stranger' })
    const strange = { ...environment, CERT: stranger.cert, KEY: stranger.key }
    const error = await failure(fetched(url, withMtls(url, standard({ env: strange }))))
    expect(error.code).toBe('MCPAUTH_TLS')
    expect(error.message).toContain('may not accept the client certificate')
    expect(seen).toEqual([])
  })

  test('outside a road, where a refresh may have arrived, a cut connection stays what it is', async () => {
    const { url } = await tlsServer(serverCertificate, (response) => void response.socket?.destroy())
    await expect(get(url, withMtls(url, standard()))).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' })
  })

  test('a connection that is cut after the first answer is no failed handshake', async () => {
    const { url } = await tlsServer(serverCertificate, (response, { url: path }) => {
      if (path === '/mcp/cut') response.socket?.destroy()
      else response.end('ok')
    })
    const send = authFetch(withMtls(url, standard()))
    onTestFinished(() => send[Symbol.asyncDispose]())
    await (await send(url)).text()
    await expect(send(`${url}/cut`)).rejects.toMatchObject({ cause: { code: 'UND_ERR_SOCKET' } })
  })

  test('no TLS on the port', async () => {
    const plain = createServer((_, response) => response.end())
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void plain.close())
    const url = `https://localhost:${(plain.address() as AddressInfo).port}/mcp`
    const error = await failure(get(url, withMtls(url, standard())))
    expect(error.message).toContain('does not speak TLS')
  })

  test('a connection that nobody takes is no failed handshake', async () => {
    const { url } = await tlsServer(serverCertificate)
    const closed = url.replace(/:\d+/, ':1')
    await expect(get(closed, withMtls(closed, standard()))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

describe('certificates on disk', () => {
  test('are read again when they change; what runs on the old connection ends there', async () => {
    const files = temporaryFolder()
    const release = Promise.withResolvers<void>()
    const { url, seen } = await tlsServer(serverCertificate, async (response, { url: path }) => {
      response.write('first ')
      if (path === '/mcp/slow') await release.promise
      response.end('last')
    })
    const paths = { cert: { file: files.write('cert.pem', client.cert) }, key: { file: files.write('key.pem', client.key) } }
    const dispatcher = through(withMtls(url, standard(paths)))
    const running = await request(`${url}/slow`, { dispatcher })

    const next = await clientAuthority.issue({ commonName: 'client-two' })
    files.write('cert.pem', next.cert)
    files.write('key.pem', next.key)
    const after = await request(url, { dispatcher })
    expect(await after.body.text()).toBe('first last')
    release.resolve()
    expect(await running.body.text()).toBe('first last')
    expect(seen.map(({ client }) => client)).toEqual(['client-one', 'client-two'])
  })

  test('stay in use while the new ones do not fit, with one warning', async () => {
    const files = temporaryFolder()
    const { url, seen } = await tlsServer(serverCertificate)
    const paths = { cert: { file: files.write('cert.pem', client.cert) }, key: { file: files.write('key.pem', client.key) } }
    const dispatcher = through(withMtls(url, standard(paths)))
    const warnings = eventsOf('mcpauth:key:warning')
    const send = async () => (await request(url, { dispatcher })).body.text()

    const next = await clientAuthority.issue({ commonName: 'client-two' })
    await send()
    files.write('cert.pem', next.cert)
    await send()
    await send()
    expect(warnings).toHaveLength(1)
    expect(inspect(warnings)).toContain('does not fit')
    files.write('key.pem', next.key)
    await send()
    expect(seen.map(({ client }) => client)).toEqual(['client-one', 'client-one', 'client-one', 'client-two'])
  })

  test('keep their connection while nothing changes', async () => {
    const server = await tlsServer(serverCertificate)
    const dispatcher = through(withMtls(server.url, standard()))
    for (let i = 0; i < 20; i++) await (await request(server.url, { dispatcher })).body.text()
    // An agent of undici opens a second one when the first is not free at once.
    expect(server.connections()).toBeLessThanOrEqual(2)
  })

  test.skipIf(process.platform === 'win32')('T23: a key that others can read is an event with its file and mode', () => {
    const files = temporaryFolder()
    const key = files.write('key.pem', client.key)
    chmodSync(key, 0o644)
    const warnings = eventsOf('mcpauth:key:warning')
    withMtls('https://mcp.example.com', standard({ key: { file: key } }))
    expect(warnings).toEqual([expect.objectContaining({ file: key, mode: '0644' })])
  })
})

function eventsOf(name: string): unknown[] {
  const events: unknown[] = []
  const listen = (message: unknown): void => void events.push(message)
  subscribe(name, listen)
  onTestFinished(() => void unsubscribe(name, listen))
  return events
}

describe('a proxy', () => {
  /** A CONNECT proxy; with TLS it asks for a certificate, too. */
  async function proxy(secure: boolean) {
    const tunnels: Array<{ target: string; client: string | undefined }> = []
    const server = secure ? createSecureServer({ ...serverCertificate, requestCert: true, rejectUnauthorized: false }) : createServer()
    server.on('connect', (incoming, socket: Socket, head: Buffer) => {
      const peer = 'getPeerCertificate' in incoming.socket ? (incoming.socket as TLSSocket).getPeerCertificate().subject?.CN : undefined
      tunnels.push({ target: incoming.url ?? '', client: peer as string | undefined })
      const [host, port] = (incoming.url ?? '').split(':')
      const upstream = connect(Number(port), host === 'localhost' ? '127.0.0.1' : (host as string), () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.write(head)
        upstream.pipe(socket).pipe(upstream)
      })
      upstream.on('error', () => socket.destroy())
      socket.on('error', () => upstream.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return { url: `${secure ? 'https' : 'http'}://localhost:${(server.address() as AddressInfo).port}`, tunnels }
  }

  test('is used when the environment names one, and the certificate goes through its tunnel', async () => {
    const [{ url, seen }, { url: proxyUrl, tunnels }] = [await tlsServer(serverCertificate), await proxy(false)]
    await get(url, withMtls(url, standard({ env: { ...environment, HTTPS_PROXY: proxyUrl } })))
    expect(tunnels.map(({ target }) => target)).toEqual([new URL(url).host])
    expect(seen[0]?.client).toBe('client-one')
  })

  test('with TLS of its own does not see the certificate', async () => {
    const [{ url, seen }, { url: proxyUrl, tunnels }] = [await tlsServer(serverCertificate), await proxy(true)]
    const before = getCACertificates('default')
    setDefaultCACertificates([serverAuthority.cert])
    onTestFinished(() => setDefaultCACertificates(before))
    await get(url, withMtls(url, standard({ env: { ...environment, https_proxy: proxyUrl } })))
    expect(tunnels).toEqual([{ target: new URL(url).host, client: undefined }])
    expect(seen[0]?.client).toBe('client-one')
  })

  test('is left out for what NO_PROXY names', async () => {
    const [{ url, seen }, { url: proxyUrl, tunnels }] = [await tlsServer(serverCertificate), await proxy(false)]
    await get(url, withMtls(url, standard({ env: { ...environment, HTTPS_PROXY: proxyUrl, NO_PROXY: 'localhost' } })))
    expect(tunnels).toEqual([])
    expect(seen[0]?.client).toBe('client-one')
  })
})

describe('a request', () => {
  test('that is aborted before undici is loaded never goes out', async () => {
    const { url, seen } = await tlsServer(serverCertificate)
    const interceptor = withMtls(url, standard())
    const caller = new AbortController()
    const work = request(url, { dispatcher: through(interceptor), signal: caller.signal })
    caller.abort(new Error('gone'))
    await expect(work).rejects.toThrow('gone')
    await get(`${url}/after`, interceptor)
    expect(seen.map(({ path }) => path)).toEqual(['/mcp/after'])
  })

  test('answered with 400 keeps its answer', async () => {
    const { url } = await tlsServer(
      serverCertificate,
      (response) => void response.writeHead(400, { 'content-type': 'text/html' }).end('<p>no')
    )
    const { statusCode, body } = await request(url, { dispatcher: through(withMtls(url, standard())) })
    expect([statusCode, await body.text()]).toEqual([400, '<p>no'])
  })
})
