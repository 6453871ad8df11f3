import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { withBearer } from '@mcpauth/bearer-env'
import { compose, type Interceptor } from '@mcpauth/core'
import { withMtls } from '@mcpauth/mtls'
import * as undici8 from 'undici'
import * as undici7 from 'undici7'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAuthority } from '../../packages/mtls/test/certificates.ts'
import { canary, credentialLayers } from './credential-layers.ts'

type Undici = typeof undici8
const majors: Array<[name: string, undici: Undici]> = [
  ['undici 8', undici8],
  ['undici 7', undici7 as unknown as Undici]
]

interface Seen {
  headers: IncomingMessage['headers']
  body: string
}

async function mcpServer(answer: (seen: Seen, response: ServerResponse) => void): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const arrival = { headers: request.headers, body: Buffer.concat(chunks).toString() }
    seen.push(arrival)
    answer(arrival, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen }
}

function through(undici: Undici, interceptor: Interceptor): undici8.Dispatcher {
  // One connection: a layer that keeps it while it wants another one would wait for ever.
  const agent = new undici.Agent({ connections: 1 })
  onTestFinished(() => agent.destroy())
  return agent.compose(interceptor as never)
}

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', note: 'ünïcode' })

/** One POST through undici's own functions, as status and text. */
const clients: Record<
  string,
  (undici: Undici, url: string, dispatcher: undici8.Dispatcher, signal?: AbortSignal) => Promise<[number, string]>
> = {
  'undici.request': async (undici, url, dispatcher, signal) => {
    const answer = await undici.request(url, { method: 'POST', body, dispatcher, signal: signal ?? null })
    return [answer.statusCode, await answer.body.text()]
  },
  'undici.fetch': async (undici, url, dispatcher, signal) => {
    const answer = await undici.fetch(url, { method: 'POST', body, dispatcher, signal: signal ?? null })
    return [answer.status, await answer.text()]
  }
}

/** Our error, from inside fetch's own. */
const reasonOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error) => (error.message === 'fetch failed' ? error.cause : error)
  )

describe.each(majors)('in the compose of %s', (_, undici) => {
  describe.each(Object.entries(clients))('through %s', (_client, send) => {
    test.each(credentialLayers.map((credential) => [credential.title, credential] as const))(
      '%s puts its headers on',
      async (_title, { make, names }) => {
        const { url, seen } = await mcpServer((_seen, response) => void response.end('done'))
        const dispatcher = through(undici, compose(make(url)))
        for (let i = 0; i < 3; i++) expect(await send(undici, url, dispatcher)).toEqual([200, 'done'])
        for (const { headers, body: received } of seen) {
          expect(received).toBe(body)
          for (const name of names) expect(headers[name]).toBeDefined()
          expect(JSON.stringify(headers)).toContain(canary)
        }
        expect(seen).toHaveLength(3)
      }
    )

    test('a token that was rotated meanwhile is replayed with the whole body, on the one connection', async () => {
      const environment = { TOKEN: 'token-one' }
      const { url, seen } = await mcpServer(({ headers }, response) => {
        if (headers.authorization === 'Bearer token-two') return void response.end('done')
        environment.TOKEN = 'token-two'
        response.writeHead(401).end('x'.repeat(10_000))
      })
      const dispatcher = through(undici, withBearer(url, { env: 'TOKEN', environment }))
      expect(await send(undici, url, dispatcher)).toEqual([200, 'done'])
      expect(seen.map((arrival) => arrival.body)).toEqual([body, body])
    })

    test('a refused token is our error, and the connection is free for the next request', async () => {
      const { url, seen } = await mcpServer((_seen, response) => void response.writeHead(401).end('x'.repeat(10_000)))
      const dispatcher = through(undici, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } }))
      for (let i = 0; i < 3; i++) expect(await reasonOf(send(undici, url, dispatcher))).toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
      expect(seen).toHaveLength(3)
    })

    test('an abort while the token is awaited ends the request, and nothing is sent later', async () => {
      const { url, seen } = await mcpServer((_seen, response) => void response.end('done'))
      const asked = Promise.withResolvers<void>()
      const token = Promise.withResolvers<string>()
      const get = () => {
        asked.resolve()
        return token.promise
      }
      const dispatcher = through(undici, withBearer(url, { get }))
      const caller = new AbortController()
      const aborted = reasonOf(send(undici, url, dispatcher, caller.signal))
      await asked.promise
      caller.abort(new Error('gone'))
      expect(await aborted).toMatchObject({ message: 'gone' })
      token.resolve('token-one')
      // The one connection serves the next request, and the first one never was there.
      expect(await send(undici, url, dispatcher)).toEqual([200, 'done'])
      expect(seen).toHaveLength(1)
    })

    test('a request to another server passes through', async () => {
      const { url, seen } = await mcpServer((_seen, response) => void response.end('done'))
      const dispatcher = through(undici, withBearer('https://mcp.example.com/mcp', { env: 'TOKEN', environment: {} }))
      expect(await send(undici, url, dispatcher)).toEqual([200, 'done'])
      expect(seen[0]?.headers.authorization).toBeUndefined()
    })
  })

  test('an event stream arrives piece by piece', async () => {
    const gate = Promise.withResolvers<void>()
    const { url } = await mcpServer(async (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      await gate.promise
      response.end('data: 2\n\n')
    })
    const dispatcher = through(undici, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } }))
    const answer = await undici.request(url, { headers: { accept: 'text/event-stream' }, dispatcher })
    const pieces: string[] = []
    for await (const piece of answer.body) {
      pieces.push(String(piece))
      // Opened only after the first piece is here: a layer that collects the stream hangs.
      gate.resolve()
    }
    expect(pieces).toEqual(['data: 1\n\n', 'data: 2\n\n'])
  })
})

describe.each(majors)('a layer that owns a connection, in the compose of %s', (_, undici) => {
  test.each(Object.entries(clients))('takes the request through %s, and shows its certificate', async (_client, send) => {
    const authority = await createAuthority('both')
    const [server, client] = [
      await authority.issue({ commonName: 'localhost', hosts: ['localhost'] }),
      await authority.issue({ commonName: 'robot' })
    ]
    const shown: unknown[] = []
    const listening = createSecureServer({ ...server, ca: authority.cert, requestCert: true }, (request, response) => {
      shown.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN)
      request.resume().on('end', () => response.end('done'))
    })
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      listening.closeAllConnections()
      listening.close()
    })
    const url = `https://localhost:${(listening.address() as AddressInfo).port}/mcp`
    const env = { CERT: client.cert, KEY: client.key, CA: authority.cert }
    const layer = withMtls(url, { cert: { env: 'CERT' }, key: { env: 'KEY' }, ca: { env: 'CA' }, env })
    onTestFinished(() => layer[Symbol.asyncDispose]())
    expect(await send(undici, url, through(undici, layer))).toEqual([200, 'done'])
    expect(shown).toEqual(['robot'])
  })
})
