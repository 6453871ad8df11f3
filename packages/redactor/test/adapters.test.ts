import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { secrets } from '@mcpauth/core'
import pino from 'pino'
import { Agent, fetch } from 'undici'
import { expect, test } from 'vitest'
import { createRedactor, pinoHooks, redactingConsole, requestLogger, watchUndici } from '../src/index.ts'

const redactor = createRedactor()
const secret = 'canary-of-the-adapter-tests'
secrets.add(secret)

test('T13: pino writes no secret, from bindings, serializers, errors or messages', () => {
  const seen: string[] = []
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      seen.push(String(chunk))
      done()
    }
  })
  const log = pino({ hooks: pinoHooks(redactor) }, sink)
  log.child({ token: 'abc' }).info({ headers: { authorization: 'Bearer abc' }, err: new Error(secret) }, `got ${secret}`)
  const line = JSON.parse(seen[0] as string)
  expect(line).toMatchObject({ token: '[REDACTED]', headers: { authorization: '[REDACTED]' }, msg: 'got [REDACTED]' })
  expect(seen.join('')).not.toContain(secret)
})

test.each(['token: "abc', "token: 'abc"])('T14: a line of pino stays a line of JSON, whatever a server says: %j', (said) => {
  const seen: string[] = []
  const log = pino({ hooks: pinoHooks(redactor) }, { write: (line) => void seen.push(line) })
  log.child({ said }).info({ by: "someone's server" }, 'it said')
  expect(seen[0]).toMatch(/}\n$/)
  expect(JSON.parse(seen[0] as string)).toMatchObject({
    level: 30,
    said: said.replace('abc', '[REDACTED]'),
    by: "someone's server",
    msg: 'it said'
  })
})

test('T13: a console prints no secret, also not one that only its format puts together', () => {
  const seen: unknown[][] = []
  const method = (...data: unknown[]): void => void seen.push(data)
  const target = { debug: method, error: method, info: method, log: method, trace: method, warn: method }
  const quiet = redactingConsole(redactor, target)
  quiet.log('token=%s 100%', 'abc', { password: 'abc' })
  quiet.error(new Error(secret))
  quiet.warn('%s%s', secret.slice(0, 7), secret.slice(7))
  expect(seen[0]).toEqual(['%s', "token=[REDACTED] 100% { password: '[REDACTED]' }"])
  expect(JSON.stringify(seen)).not.toContain(secret)
  expect(seen[2]).toEqual(['%s', '[REDACTED]'])
})

test("T13: the logger for the SDKs' withLogging writes no secret", () => {
  const seen: string[] = []
  const headers = new Headers({ authorization: 'Bearer abc' })
  requestLogger(redactor, (line) => seen.push(line))({
    method: 'GET',
    url: 'https://h/?code=abc',
    status: 0,
    statusText: '',
    duration: 1,
    requestHeaders: headers,
    error: new Error(secret)
  })
  expect(JSON.parse(seen[0] as string)).toEqual({
    method: 'GET',
    url: 'https://h/?code=[REDACTED]',
    status: 0,
    statusText: '',
    durationMs: 1,
    requestHeaders: { authorization: '[REDACTED]' },
    error: '[REDACTED]'
  })
})

test("T13: undici's diagnostics are told without secrets, until one stops listening", async () => {
  const server = createServer((_request, response) => response.writeHead(200, { 'set-cookie': 'sid=abcdef' }).end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/?code=abcdef`
  const seen: Array<Record<string, unknown>> = []
  const stop = watchUndici(redactor, (event) => seen.push(event))
  const dispatcher = new Agent()
  const get = async (): Promise<void> =>
    void (await (await fetch(url, { headers: { authorization: `Bearer ${secret}`, 'x-other': secret }, dispatcher })).text())
  await get()
  stop()
  const count = seen.length
  await get()
  await dispatcher.close()
  server.close()
  expect(seen).toHaveLength(count)
  const channels = seen.map(({ channel }) => channel)
  expect(channels).toEqual(expect.arrayContaining(['undici:request:create', 'undici:client:sendHeaders', 'undici:request:headers']))
  expect(seen).toContainEqual(
    expect.objectContaining({
      channel: 'undici:request:headers',
      status: 200,
      responseHeaders: expect.objectContaining({ 'set-cookie': '[REDACTED]' })
    })
  )
  expect(JSON.stringify(seen)).not.toMatch(/canary|abcdef/)
})

test('T13: a host that a server has made of a secret is not in what undici reports of a connection', () => {
  const seen: unknown[] = []
  const stop = watchUndici(redactor, (event) => seen.push(event))
  const connectParams = { host: `${secret}.example`, port: '443', protocol: 'https:' }
  channel('undici:client:connectError').publish({ connectParams, error: new Error(`getaddrinfo ENOTFOUND ${secret}.example`) })
  stop()
  expect(seen).toEqual([
    expect.objectContaining({
      host: '[REDACTED].example',
      port: '443',
      protocol: 'https:',
      error: 'getaddrinfo ENOTFOUND [REDACTED].example'
    })
  ])
})
