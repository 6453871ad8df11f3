// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to environment variables are written so.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { type Interceptor, layer, McpAuthError, secrets } from '@mcpauth/core'
import { Agent, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { withBearer } from '../src/index.ts'
import { echoServer } from './echo-server.ts'

const post = (url: string, interceptor: Interceptor, headers: Record<string, string> = {}) => {
  const agent = new Agent()
  onTestFinished(() => agent.destroy())
  return request(url, { method: 'POST', body: '{}', headers, dispatcher: agent.compose(interceptor as never) })
}

async function failure(work: Promise<unknown>): Promise<McpAuthError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (!McpAuthError.is(error)) throw new Error(`expected an McpAuthError, got ${inspect(error)}`)
  return error
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-bearer-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

describe('a token from an environment variable', () => {
  test('N25: goes into the Authorization header, in the place of what the caller set', async () => {
    const { url, seen } = await echoServer()
    const interceptor = withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } })
    await post(url, interceptor, { AUTHORIZATION: 'Bearer of-the-caller' })
    expect(seen).toEqual([{ path: '/mcp', authorization: 'Bearer token-one' }])
  })

  test('is read for each request, so that a rotation is picked up', async () => {
    const { url, seen } = await echoServer()
    const environment = { TOKEN: 'token-one' }
    const interceptor = withBearer(url, { env: 'TOKEN', environment })
    await post(url, interceptor)
    environment.TOKEN = 'token-two'
    await post(url, interceptor)
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer token-one', 'Bearer token-two'])
  })

  test('may be named by another variable', async () => {
    const { url, seen } = await echoServer()
    const environment = { STAGE: 'PROD', PROD_TOKEN: 'token-of-production' }
    await post(url, withBearer(url, { env: '${STAGE}_TOKEN', environment }))
    expect(seen[0]?.authorization).toBe('Bearer token-of-production')
    const error = await failure(post(url, withBearer(url, { env: '${STAGE}_TOKEN', environment: { STAGE: 'TEST' } })))
    expect(error.message).toBe('the environment variable ${STAGE}_TOKEN is not set')
  })

  test.each([
    ['is not set', {}],
    ['is empty', { TOKEN: '' }]
  ])('that %s is an error that names it, before anything is sent', async (fact, environment) => {
    const { url, seen } = await echoServer()
    const error = await failure(post(url, withBearer(url, { env: 'TOKEN', environment })))
    expect(error.code).toBe('MCPAUTH_CREDENTIAL_MISSING')
    expect(error.message).toBe(`the environment variable TOKEN ${fact}`)
    expect(seen).toEqual([])
  })

  test('becomes a secret of the registry', async () => {
    const { url } = await echoServer()
    await post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'canary-of-the-registry' } }))
    expect(secrets.redact('a canary-of-the-registry b')).toBe('a [REDACTED:bearer] b')
  })

  test('is read from process.env by default', async () => {
    const { url, seen } = await echoServer()
    process.env.MCPAUTH_TEST_BEARER = 'token-of-the-process'
    onTestFinished(() => {
      delete process.env.MCPAUTH_TEST_BEARER
    })
    await post(url, withBearer(url, { env: 'MCPAUTH_TEST_BEARER' }))
    expect(seen[0]?.authorization).toBe('Bearer token-of-the-process')
  })
})

const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/header-values.json')
const hostileValues = corpus(vectors)
function corpus(path: string): string[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return []
  }
}
const sendable = new Set(['$(id)', 'a;b'])

describe.skipIf(hostileValues.length === 0)('T16: hostile values in the environment (corpus header-values)', () => {
  test.each(hostileValues.filter((value) => !sendable.has(value)).map((value) => [JSON.stringify(value), value]))(
    '%s is refused, naming the variable and never the value',
    async (_, value) => {
      const { url, seen } = await echoServer()
      for (const hostile of value === '' ? [value] : [value, `canary${value}canary`]) {
        const error = await failure(post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: hostile } })))
        expect(error.code).toBe(value === '' ? 'MCPAUTH_CREDENTIAL_MISSING' : 'MCPAUTH_CREDENTIAL_INVALID')
        expect(error.message).toContain('the environment variable TOKEN')
        expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('canary')
      }
      expect(seen).toEqual([])
    }
  )

  test.each(hostileValues.filter((value) => sendable.has(value)))('%s is no more than characters', async (value) => {
    const { url, seen } = await echoServer()
    await post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: value } }))
    expect(seen[0]?.authorization).toBe(`Bearer ${value}`)
  })
})

describe('a token from a file', () => {
  test.each([
    ['a token', 'token-of-a-file'],
    ['one newline after it', 'token-of-a-file\n'],
    ['one Windows newline after it', 'token-of-a-file\r\n']
  ])('is read: %s', async (_, content) => {
    const { url, seen } = await echoServer()
    const file = join(temporaryFolder(), 'token')
    writeFileSync(file, content)
    await post(url, withBearer(url, { file }))
    expect(seen[0]?.authorization).toBe('Bearer token-of-a-file')
  })

  test('is read again when the file changes, also by a swapped symbolic link', async () => {
    const { url, seen } = await echoServer()
    const folder = temporaryFolder()
    const file = join(folder, 'token')
    writeFileSync(join(folder, 'first'), 'token-one')
    writeFileSync(join(folder, 'second'), 'token-two')
    symlinkSync('first', file)
    const interceptor = withBearer(url, { file })
    await post(url, interceptor)
    unlinkSync(file)
    symlinkSync('second', file)
    await post(url, interceptor)
    writeFileSync(join(folder, 'second'), 'token-three')
    await post(url, interceptor)
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer token-one', 'Bearer token-two', 'Bearer token-three'])
  })

  test.each([
    ['absent', undefined, 'MCPAUTH_CREDENTIAL_MISSING', 'cannot be read (ENOENT)'],
    ['empty', '\n', 'MCPAUTH_CREDENTIAL_MISSING', 'is empty'],
    ['too large', 'x'.repeat(65_537), 'MCPAUTH_CREDENTIAL_MISSING', 'is larger than 64 KiB'],
    ['of two lines', 'canary-1\n\n', 'MCPAUTH_CREDENTIAL_INVALID', 'control character']
  ])('that is %s is an error that names it, before anything is sent', async (_, content, code, fact) => {
    const { url, seen } = await echoServer()
    const file = join(temporaryFolder(), 'token')
    if (content !== undefined) writeFileSync(file, content)
    const error = await failure(post(url, withBearer(url, { file })))
    expect(error.code).toBe(code)
    expect(error.message).toContain(file)
    expect(error.message).toContain(fact)
    expect(inspect(error)).not.toContain('canary')
    expect(seen).toEqual([])
  })

  test('that is a folder is an error that names it', async () => {
    const { url } = await echoServer()
    const error = await failure(post(url, withBearer(url, { file: temporaryFolder() })))
    expect(error.message).toContain('is not a file')
  })
})

describe('a token from a function', () => {
  test.each([
    ['at once', () => 'token-of-a-function'],
    ['later', () => Promise.resolve('token-of-a-function')]
  ])('is sent when it is given %s', async (_, get) => {
    const { url, seen } = await echoServer()
    await post(url, withBearer(url, { get }))
    expect(seen[0]?.authorization).toBe('Bearer token-of-a-function')
  })

  test.each([
    ['gives nothing', () => undefined],
    ['promises nothing', () => Promise.resolve('')],
    [
      'throws',
      () => {
        throw new Error('no key\u001b[2J found')
      }
    ],
    ['rejects', () => Promise.reject(new Error('no key\u001b[2J found'))]
  ])('that %s is an error, before anything is sent', async (_, get) => {
    const { url, seen } = await echoServer()
    const error = await failure(post(url, withBearer(url, { get: get as unknown as () => string })))
    expect(error.code).toBe('MCPAUTH_CREDENTIAL_MISSING')
    expect(error.message).not.toContain('\u001b')
    expect(seen).toEqual([])
  })
})

describe('a refused token', () => {
  const refusing = (challenge: string | undefined, body: string, accepted?: string) =>
    echoServer((request, response) => {
      if (accepted && request.headers.authorization === `Bearer ${accepted}`) return void response.end('ok')
      response.writeHead(401, challenge === undefined ? {} : { 'www-authenticate': challenge }).end(body)
    })

  test.each([
    ['a challenge', 'Bearer error="invalid_token", error_description="it expired"', '{"message":"other"}', 'invalid_token, it expired'],
    ['an OAuth error', undefined, '{"error":"invalid_token","error_description":"\\u001b[31mrevoked\\n"}', '[31mrevoked'],
    ['a JSON-RPC error', undefined, '{"jsonrpc":"2.0","error":{"code":-32001,"message":"who are you"}}', 'who are you'],
    ['nothing', undefined, '<html>', undefined]
  ])('is an error that names the variable, with the reason of %s made safe', async (_, challenge, body, reason) => {
    const { url, seen } = await refusing(challenge, body)
    const error = await failure(post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } })))
    expect(error.code).toBe('MCPAUTH_TOKEN_REFUSED')
    const fact = `${url} refused the bearer token of the environment variable TOKEN (401)`
    expect(error.message).toBe(reason === undefined ? fact : `${fact}: ${reason}`)
    expect(error.hint).toContain('TOKEN')
    expect(seen).toHaveLength(1)
  })

  test('T13: that the server echoes does not reach the error', async () => {
    const { url } = await refusing('Bearer error_description="unknown token canary-of-an-echo"', '')
    const error = await failure(post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'canary-of-an-echo' } })))
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('canary-of-an-echo')
  })

  test('is replaced and the request sent once more when its source holds another one by now', async () => {
    const environment = { TOKEN: 'token-one' }
    const { url, seen } = await echoServer((request, response) => {
      if (request.headers.authorization === 'Bearer token-two') return void response.end('ok')
      environment.TOKEN = 'token-two'
      response.writeHead(401).end()
    })
    const { statusCode } = await post(url, withBearer(url, { env: 'TOKEN', environment }))
    expect(statusCode).toBe(200)
    expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer token-one', 'Bearer token-two'])
  })

  test('T19: is replaced only once, however often the source changes', async () => {
    let issued = 0
    const { url, seen } = await echoServer((_, response) => void response.writeHead(401).end())
    const error = await failure(post(url, withBearer(url, { get: () => `token-number-${issued++}` })))
    expect(error.code).toBe('MCPAUTH_TOKEN_REFUSED')
    expect(seen).toHaveLength(2)
  })

  test('comes back as the refused answer on a GET that accepts only an event stream', async () => {
    const { url, seen } = await refusing('Bearer', 'no')
    const agent = new Agent()
    onTestFinished(() => agent.destroy())
    const dispatcher = agent.compose(withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } }) as never)
    const answer = await request(url, { headers: { accept: 'text/event-stream' }, dispatcher })
    expect([answer.statusCode, await answer.body.text()]).toEqual([401, 'no'])
    expect(seen).toHaveLength(1)
  })

  test('is not what a 403 means', async () => {
    const { url } = await echoServer((_, response) => void response.writeHead(403).end('no'))
    const { statusCode } = await post(url, withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } }))
    expect(statusCode).toBe(403)
  })
})

describe('the binding', () => {
  test('N26: leaves requests to anything but its server untouched', async () => {
    const { url, seen } = await echoServer()
    const other = await echoServer()
    const interceptor = withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' } })
    for (const target of [other.url, `${url}-evil`, url.replace('/mcp', '/'), url.replace('127.0.0.1', 'localhost')])
      await post(target, interceptor)
    await post(`${url}/below`, interceptor)
    expect(other.seen.map(({ authorization }) => authorization)).toEqual([undefined])
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined, undefined, 'Bearer token-one'])
  })

  test('is widened to the origin by an option', async () => {
    const { url, seen } = await echoServer()
    await post(url.replace('/mcp', '/messages'), withBearer(url, { env: 'TOKEN', environment: { TOKEN: 'token-one' }, bind: 'origin' }))
    expect(seen[0]?.authorization).toBe('Bearer token-one')
  })

  test('describes itself to authFetch', () => {
    const description = withBearer('https://mcp.example.com/mcp', { env: 'TOKEN' })[layer]
    expect(description).toMatchObject({ kind: 'credential', sets: ['authorization'] })
    expect(description?.server.href).toBe('https://mcp.example.com/mcp')
  })
})

describe('construction', () => {
  test.each([
    ['no source', {}],
    ['two sources', { env: 'TOKEN', file: 'token' }],
    ['nothing', undefined],
    ['a literal', 'canary-literal'],
    ['a token in the place of the name', { env: 'canary.literal-token' }],
    ['an empty name', { env: '' }],
    ['an open reference', { env: '${TOKEN' }],
    ['an empty path', { file: '' }],
    ['a get that is no function', { get: 'canary-literal' }]
  ])('refuses %s without quoting it', (_, source) => {
    let error: unknown
    try {
      withBearer('https://mcp.example.com/mcp', source as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
    expect(inspect(error)).not.toMatch(/canary.literal/)
  })

  test('refuses a server without https that is not loopback', () => {
    expect(() => withBearer('http://mcp.example.com/mcp', { env: 'TOKEN' })).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INSECURE_URL' })
    )
    withBearer('http://mcp.example.com/mcp', { env: 'TOKEN', dangerouslyAllowHttp: true })
  })
})
