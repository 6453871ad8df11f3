// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to environment variables are written so.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { type Interceptor, layer, McpAuthError, secrets } from '@mcpauth/core'
import { Agent, fetch, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type HeaderValue, withHeaders } from '../src/index.ts'
import { echoServer, type SeenRequest } from './echo-server.ts'

function through(interceptor: Interceptor) {
  const agent = new Agent()
  onTestFinished(() => agent.destroy())
  return agent.compose(interceptor as never)
}

const post = (url: string, interceptor: Interceptor, headers?: Record<string, string> | string[] | Headers | Map<string, string>) =>
  request(url, { method: 'POST', body: '{}', headers: headers as Record<string, string>, dispatcher: through(interceptor) })

/** The headers of a request with their names as written, without those that the HTTP client sets. */
function ownHeaders({ rawHeaders }: SeenRequest): Array<[string, string]> {
  const pairs: Array<[string, string]> = []
  for (let i = 0; i < rawHeaders.length; i += 2) pairs.push([rawHeaders[i] as string, rawHeaders[i + 1] as string])
  return pairs.filter(([name]) => !['host', 'connection', 'content-length'].includes(name.toLowerCase()))
}

async function failure(work: Promise<unknown>): Promise<McpAuthError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (!McpAuthError.is(error)) throw new Error(`expected an McpAuthError, got ${inspect(error)}`)
  return error
}

describe('values', () => {
  test('are set as written, names too, with the caller’s own headers beside them', async () => {
    const { url, seen } = await echoServer()
    const interceptor = withHeaders(
      url,
      { 'X-Tenant': 'acme', 'x-API-Key': { env: 'KEY' }, 'X-Trace-Id': () => 'trace-1', 'X-Path': 'a/${STAGE}/b/${STAGE}' },
      { env: { KEY: 'key-of-the-environment', STAGE: 'prod' } }
    )
    await post(url, interceptor, { Accept: 'application/json' })
    expect(ownHeaders(seen[0]!)).toEqual([
      ['Accept', 'application/json'],
      ['X-Tenant', 'acme'],
      ['x-API-Key', 'key-of-the-environment'],
      ['X-Trace-Id', 'trace-1'],
      ['X-Path', 'a/prod/b/prod']
    ])
  })

  test('keep their case through fetch, too', async () => {
    const { url, seen } = await echoServer()
    await fetch(url, { dispatcher: through(withHeaders(url, { 'X-TeNaNt': 'acme' })) })
    expect(ownHeaders(seen[0]!)).toContainEqual(['X-TeNaNt', 'acme'])
  })

  test.each([
    ['an object', { 'x-tenant': 'of-the-caller' }],
    ['a flat array', ['X-TENANT', 'of-the-caller']],
    ['Headers', new Headers({ 'X-Tenant': 'of-the-caller' })],
    ['a Map', new Map([['x-Tenant', 'of-the-caller']])]
  ])('replace what the caller set under their name, given as %s', async (_, headers) => {
    const { url, seen } = await echoServer()
    await post(url, withHeaders(url, { 'X-Tenant': 'acme' }), headers)
    expect(ownHeaders(seen[0]!)).toEqual([['X-Tenant', 'acme']])
  })

  test('from variables are read for each request', async () => {
    const { url, seen } = await echoServer()
    const environment = { KEY: 'key-one' }
    const interceptor = withHeaders(url, { 'X-Key': { env: 'KEY' }, 'X-Both': 'v1 ${KEY}' }, { env: environment })
    await post(url, interceptor)
    environment.KEY = 'key-two'
    await post(url, interceptor)
    expect(seen.map((one) => ownHeaders(one).map(([, value]) => value))).toEqual([
      ['key-one', 'v1 key-one'],
      ['key-two', 'v1 key-two']
    ])
  })

  test('from variables are not expanded again', async () => {
    const { url, seen } = await echoServer()
    const environment = { A: '${B}', B: 'never' }
    await post(url, withHeaders(url, { 'X-A': '${A}', 'X-B': { env: 'A' } }, { env: environment }))
    expect(ownHeaders(seen[0]!).map(([, value]) => value)).toEqual(['${B}', '${B}'])
  })

  test('from functions may come later; undefined leaves the caller’s header alone', async () => {
    const { url, seen } = await echoServer()
    const headers: Record<string, HeaderValue> = {
      'X-Later': async () => 'later',
      'X-None': () => undefined,
      'X-Never': async () => undefined
    }
    await post(url, withHeaders(url, headers), { 'x-none': 'of-the-caller' })
    expect(ownHeaders(seen[0]!)).toEqual([
      ['x-none', 'of-the-caller'],
      ['X-Later', 'later']
    ])
  })

  test('from variables become secrets, plain texts do not', async () => {
    const { url } = await echoServer()
    const headers = { 'X-A': { env: 'A' }, 'X-B': 'plain-text-of-b ${B}' }
    await post(url, withHeaders(url, headers, { env: { A: 'canary-of-variable-a', B: 'canary-of-variable-b' } }))
    expect(secrets.redact('canary-of-variable-a plain-text-of-b canary-of-variable-b')).toBe('[REDACTED:A] plain-text-of-b [REDACTED:B]')
  })

  test('that are missing fail before anything is sent, naming the variable', async () => {
    const { url, seen } = await echoServer()
    for (const value of [{ env: 'KEY' }, 'v1 ${KEY}']) {
      for (const environment of [{}, { KEY: '' }]) {
        const error = await failure(post(url, withHeaders(url, { 'X-Key': value }, { env: environment })))
        expect(error.code).toBe('MCPAUTH_CREDENTIAL_MISSING')
        expect(error.message).toContain('the environment variable KEY')
      }
    }
    expect(seen).toEqual([])
  })

  test('of a function that fails are an error that names the header, and leave no rejection behind', async () => {
    const { url, seen } = await echoServer()
    const broken = {
      'X-A': () => Promise.reject(new Error('a')),
      'X-B': () => {
        throw new Error('b\u001b[2J')
      }
    }
    const error = await failure(post(url, withHeaders(url, broken)))
    expect(error.code).toBe('MCPAUTH_CREDENTIAL_MISSING')
    expect(error.message).toBe('the function for X-B has thrown an error')
    expect(seen).toEqual([])
  })
})

const hostileValues = corpus(resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/header-values.json'))
function corpus(path: string): string[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return []
  }
}
/** A header may hold these: Latin-1, spaces within. */
const sendable = new Set(['$(id)', 'a;b', 'bearer tok', 'é', 'a b'])

describe.skipIf(hostileValues.length === 0)('T16: hostile values (corpus header-values)', () => {
  const refused = hostileValues
    .filter((value) => value !== '' && !sendable.has(value))
    .map((value) => [JSON.stringify(value), value] as const)

  test.each(refused)('%s in a variable is refused, naming it and never the value', async (_, value) => {
    const { url, seen } = await echoServer()
    for (const hostile of [value, `canary${value}`]) {
      for (const source of [{ env: 'KEY' }, 'v1 ${KEY}', () => hostile]) {
        const error = await failure(post(url, withHeaders(url, { 'X-Key': source }, { env: { KEY: hostile } })))
        expect(error.code).toBe('MCPAUTH_CREDENTIAL_INVALID')
        expect(error.message).toContain(typeof source === 'function' ? 'X-Key' : 'the environment variable KEY')
        expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('canary')
      }
    }
    expect(seen).toEqual([])
  })

  test.each(refused)('%s as a text is refused at construction', (_, value) => {
    expect(() => withHeaders('https://mcp.example.com/', { 'X-Key': value })).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' })
    )
  })

  test('an empty variable is a missing one', async () => {
    const { url } = await echoServer()
    const error = await failure(post(url, withHeaders(url, { 'X-Key': { env: 'KEY' } }, { env: { KEY: '' } })))
    expect(error.code).toBe('MCPAUTH_CREDENTIAL_MISSING')
  })

  test.each([...sendable])('%s is no more than characters', async (value) => {
    const { url, seen } = await echoServer()
    await post(url, withHeaders(url, { 'X-Key': { env: 'KEY' }, 'X-Text': value }, { env: { KEY: value } }))
    expect(ownHeaders(seen[0]!)).toEqual(
      expect.arrayContaining([
        ['X-Key', value],
        ['X-Text', value]
      ])
    )
  })
})

describe('construction', () => {
  test.each([
    ['Authorization', 'bearer-env'],
    ['aUTHORIZATION', 'oauth'],
    ['Proxy-Authorization', 'HTTPS_PROXY']
  ])('refuses %s and says what is right for it', (name, right) => {
    expect(() => withHeaders('https://mcp.example.com/', { [name]: 'x' })).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', hint: expect.stringContaining(right) })
    )
  })

  test('lets Proxy-Authorization-IAP pass', async () => {
    const { url, seen } = await echoServer()
    await post(url, withHeaders(url, { 'Proxy-Authorization-IAP': () => 'Bearer of-iap' }))
    expect(ownHeaders(seen[0]!)).toEqual([['Proxy-Authorization-IAP', 'Bearer of-iap']])
  })

  test.each([
    ['a name with a space', { 'canary name': 'x' }],
    ['an empty name', { '': 'x' }],
    ['a name with a line break', { 'X-A\r\nX-B': 'x' }],
    ['a name twice', { 'X-A': 'x', 'x-a': 'y' }],
    ['a header of the HTTP client', { 'Content-Length': '1' }],
    ['a text outside Latin-1', { 'X-A': 'canary name €' }],
    ['an open reference', { 'X-A': 'canary name ${B' }],
    ['a reference to no variable', { 'X-A': 'canary name ${a b}' }],
    ['a secret in the place of a variable', { 'X-A': { env: 'canary name' } }],
    ['a number', { 'X-A': 1 }],
    ['null', { 'X-A': null }],
    ['an empty object', { 'X-A': {} }]
  ])('refuses %s without quoting it', (_, headers) => {
    let error: unknown
    try {
      withHeaders('https://mcp.example.com/', headers as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
    expect(inspect(error)).not.toContain('canary name')
  })

  test('describes itself to authFetch', () => {
    const description = withHeaders('https://mcp.example.com/mcp', { 'X-Tenant': 'acme', 'X-API-Key': () => 'x' })[layer]
    expect(description).toMatchObject({ kind: 'headers', sets: ['x-tenant', 'x-api-key'] })
  })
})

describe('the binding', () => {
  test('leaves requests to anything but its server untouched', async () => {
    const { url, seen } = await echoServer()
    for (const headers of [{ 'X-Tenant': 'acme' }, { 'X-Tenant': () => 'acme' }]) {
      const interceptor = withHeaders(url, headers)
      for (const target of [`${url}-evil`, url.replace('/mcp', '/'), url.replace('127.0.0.1', 'localhost')]) await post(target, interceptor)
    }
    expect(seen.map(ownHeaders)).toEqual([[], [], [], [], [], []])
  })

  test('is widened to the origin by an option', async () => {
    const { url, seen } = await echoServer()
    await post(url.replace('/mcp', '/messages'), withHeaders(url, { 'X-Tenant': 'acme' }, { bind: 'origin' }))
    expect(ownHeaders(seen[0]!)).toEqual([['X-Tenant', 'acme']])
  })
})
