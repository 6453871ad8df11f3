import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import type { Dispatch } from '@mcpauth/core'
import { Agent } from 'undici'
import { expect, test } from 'vitest'
import { addressGuard } from '../src/address-guard.ts'
import { authorizationServerClient, mayHaveArrived } from '../src/authorization-server-client.ts'

async function clientFor(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/token`)
  const agent = new Agent()
  const dispatch: Dispatch = (options, handler) => agent.dispatch(options as never, handler as never)
  const client = authorizationServerClient(() => dispatch, addressGuard({ server: url }))
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  return {
    client,
    url,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await agent.destroy()
    }
  }
}

const post = { method: 'POST' as const, headers: { 'content-type': 'text/plain' }, body: 'refresh_token=the-secret-in-the-body' }

test.each<[string, RequestListener]>([
  ['says nothing', () => undefined],
  ['stops after the head', (_request, response) => void response.writeHead(200).write('x')],
  [
    'sends one byte at a time, for ever',
    (_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 5)
      response.on('close', () => clearInterval(timer))
    }
  ]
])('T9: a server that %s ends with the total deadline, and the error holds nothing of the request', async (_name, answer) => {
  await using scene = await clientFor(answer)
  const error = await scene.client.send(scene.url, 'the refresh', post, { deadlineMs: 60 }).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-secret-in-the-body')
})

test('a caller that gives up ends the request', async () => {
  await using scene = await clientFor(() => undefined)
  const giving = new AbortController()
  const sent = scene.client.send(scene.url, 'the registration', post, { signal: giving.signal })
  giving.abort()
  await expect(sent).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  await expect(scene.client.send(scene.url, 'the registration', post, { signal: giving.signal })).rejects.toMatchObject({
    code: 'MCPAUTH_CLOSED'
  })
})

test('each request has a connection of its own: an idle one that died could not be told from one that was answered', async () => {
  await using scene = await clientFor((_request, response) => void response.end('{}'))
  for (let request = 0; request < 3; request += 1) await (await scene.client.send(scene.url, 'the refresh', post)).text()
  expect(scene.connections()).toBe(3)
})

test('rule 7: a dropped connection may have brought the request, a refused one has not', async () => {
  await using dropping = await clientFor((request) => void request.socket.destroy())
  const dropped = await dropping.client.send(dropping.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(dropped).toMatchObject({ code: 'MCPAUTH_NETWORK' })
  expect(mayHaveArrived(dropped)).toBe(true)
  const gone = await clientFor(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using other = await clientFor(() => undefined)
  const refused = await other.client.send(gone.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(refused).toMatchObject({ code: 'MCPAUTH_NETWORK' })
  expect(mayHaveArrived(refused)).toBe(false)
})

test('T13: an error of the network keeps its code and nothing else', async () => {
  await using scene = await clientFor((request) => void request.socket.destroy())
  const error = await scene.client.send(scene.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-secret-in-the-body')
})

test('N34: nothing is sent to an address that the guard refuses', async () => {
  await using scene = await clientFor((_request, response) => void response.end('{}'))
  for (const url of ['http://as.example.com/token', 'file:///etc/passwd', 'https://user:pw@as.example.com/']) {
    await expect(scene.client.send(new URL(url), 'the refresh', post)).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
  }
  expect(scene.connections()).toBe(0)
})
