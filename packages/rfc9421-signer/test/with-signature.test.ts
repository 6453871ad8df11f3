import type { JsonWebKey } from 'node:crypto'
import { authFetch, type DispatchOptions, describeLayer, layer as layerKey, McpAuthError } from '@mcpauth/core'
import { describe, expect, it } from 'vitest'
import { verifySignature, withSignature } from '../src/index.ts'
import { capture } from './capture.ts'
import { ed25519, p256, rsaPss } from './rfc9421-appendix-b.ts'

const server = 'https://mcp.example.com/mcp'
const post: DispatchOptions = {
  origin: 'https://mcp.example.com',
  path: '/mcp',
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"jsonrpc":"2.0"}'
}

async function verified(sent: { options: DispatchOptions }, more: { label?: string; key?: JsonWebKey; url?: string; body?: unknown } = {}) {
  const { method, origin, path, headers, body } = sent.options
  const { url = `${origin}${path}`, key = ed25519, label } = more
  return verifySignature({ method, url, headers, body: more.body ?? body }, { keys: [{ key }], ...(label === undefined ? {} : { label }) })
}

describe('withSignature', () => {
  it('covers method, target, token, content type and body unless told otherwise', async () => {
    const sent = await capture(withSignature(server, { key: ed25519 }), {
      ...post,
      headers: { ...(post.headers as object), Authorization: 'Bearer t' }
    })
    expect(sent.header('content-digest')).toMatch(/^sha-256=:/)
    const { components, bodyVerified } = await verified(sent)
    expect(components).toEqual(['"@method"', '"@target-uri"', '"authorization"', '"content-type"', '"content-digest"'])
    expect(bodyVerified).toBe(true)
    await expect(verified(sent, { body: '{"jsonrpc":"2.1"}' })).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
    await expect(verified(sent, { url: `${server}?x` })).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
  })

  it('sends a GET without a digest', async () => {
    const sent = await capture(withSignature(server, { key: ed25519 }), { origin: 'https://mcp.example.com', path: '/mcp', method: 'GET' })
    expect(sent.header('content-digest')).toBeUndefined()
    expect((await verified(sent)).components).toEqual(['"@method"', '"@target-uri"'])
  })

  it('never changes the request it was given', async () => {
    const options = Object.freeze({ ...post, headers: Object.freeze({ ...(post.headers as object) }) })
    const before = structuredClone(options)
    await capture(withSignature(server, { key: ed25519 }), options)
    expect(options).toEqual(before)
  })

  it('hands on the very same objects for another server and off its path', () => {
    const seen: unknown[] = []
    const dispatch = withSignature(server, { key: ed25519 })((...sent) => {
      seen.push(...sent)
      return true
    })
    for (const other of [
      { ...post, origin: 'https://evil.example' },
      { ...post, path: '/mcp-evil' },
      { ...post, path: '/mcp/../x' }
    ]) {
      const handler = { onRequestStart: () => undefined }
      dispatch(other, handler)
      const [options, passed] = seen.splice(0)
      expect(options).toBe(other)
      expect(passed).toBe(handler)
      expect(Object.keys(other.headers as object)).toEqual(['content-type'])
    }
  })

  it('signs the path as it goes on the wire, with the query option of undici in it', async () => {
    const layer = withSignature('https://mcp.example.com/', {
      key: ed25519,
      components: ['@path', '@query', '@request-target', '@authority']
    })
    const query = { a: ['1', '2'], 'b c': 'ü/?', empty: '', n: 3 }
    const sent = await capture(layer, { ...post, path: '/x/../%2e/b;c', query })
    expect(sent.options).toMatchObject({ path: '/x/../%2e/b;c?a=1&a=2&b%20c=%C3%BC%2F%3F&empty=&n=3' })
    expect(sent.options.query).toBeUndefined()
    await expect(verified(sent)).resolves.toBeDefined()
  })

  it('signs the Host that is sent, when the caller has set one', async () => {
    const layer = withSignature(server, { key: ed25519, components: ['@authority', 'host'] })
    await expect(verified(await capture(layer, post)).catch((error) => error.message)).resolves.toContain('"host": not in the message')
    const sent = await capture(layer, { ...post, headers: { Host: 'Other.example:443' } })
    await expect(verified(sent, { url: 'https://other.example/mcp' })).resolves.toBeDefined()
  })

  it('signs repeated headers as one line', async () => {
    const layer = withSignature(server, { key: ed25519, components: ['x-many', '@authority'] })
    const sent = await capture(layer, { ...post, headers: ['X-Many', '1', 'x-many', ['2', '3']] })
    await expect(verified(sent)).resolves.toBeDefined()
    const joined = await verifySignature(
      {
        method: 'POST',
        url: server,
        headers: { 'x-many': '1, 2, 3', signature: sent.header('signature'), 'signature-input': sent.header('signature-input') }
      },
      { keys: [{ key: ed25519 }] }
    )
    expect(joined.components).toContain('"x-many"')
  })

  it('sets the content length that it covers', async () => {
    const layer = withSignature(server, { key: ed25519, components: ['content-length', '@authority'] })
    expect((await capture(layer, { ...post, body: 'ü' })).header('content-length')).toBe('2')
    expect((await capture(layer, { ...post, body: null })).header('content-length')).toBe('0')
    await expect(capture(layer, { ...post, method: 'GET', body: null })).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
  })

  it.each([
    [
      'a generator',
      () =>
        (async function* () {
          yield Buffer.from('ab')
          yield 'c'
        })()
    ],
    ['a web stream', () => new Blob(['abc']).stream()],
    ['a Blob', () => new Blob(['abc'])]
  ])('reads %s to its end, digests it and sends the bytes', async (_, body) => {
    const sent = await capture(withSignature(server, { key: ed25519 }), { ...post, body: body() })
    expect(Buffer.from(sent.options.body as Uint8Array).toString()).toBe('abc')
    expect((await verified(sent)).bodyVerified).toBe(true)
  })

  it('leaves a stream alone when nothing about it is covered', async () => {
    const body = new Blob(['abc']).stream()
    const sent = await capture(withSignature(server, { key: ed25519, contentDigest: false }), { ...post, body })
    expect(sent.options.body).toBe(body)
  })

  it('ends a request whose body is too long with an error, not with a crash', async () => {
    const layer = withSignature(server, { key: ed25519, maxBodyBytes: 2 })
    await expect(capture(layer, { ...post, body: new Blob(['abc']) })).rejects.toMatchObject({ code: 'MCPAUTH_BODY_TOO_LARGE' })
  })

  it('ends a request without a covered component with an error that names it', async () => {
    const layer = withSignature(server, { key: ed25519, components: ['@method', 'x-absent'] })
    await expect(capture(layer, post)).rejects.toMatchObject({
      code: 'MCPAUTH_SIGNATURE_INVALID',
      message: expect.stringContaining('"x-absent"'),
      hint: expect.stringContaining('componentsIfPresent')
    })
  })

  it('signs every send anew', async () => {
    let now = 1_700_000_000_000
    const layer = withSignature(server, { key: ed25519, now: () => now })
    const first = (await capture(layer, post)).header('signature-input') as string
    now += 5_000
    const second = (await capture(layer, post)).header('signature-input') as string
    expect(first).toContain(';created=1700000000;')
    expect(second).toContain(';created=1700000005;')
    const nonces = [first, second].map((input) => /nonce="([^"]+)"/.exec(input)?.[1])
    expect(nonces[0]).not.toBe(nonces[1])
  })

  it('makes several signatures on one message, in one layer', async () => {
    const sent = await capture(
      withSignature(server, {
        key: ed25519,
        label: 'first',
        contentDigest: ['sha-256', 'sha-512'],
        additionalSignatures: [
          { key: rsaPss, label: 'second', tag: 'app' },
          { key: p256, label: 'third', components: ['signature;key="first"', 'signature-input;key="first"', '@authority'] }
        ]
      }),
      post
    )
    expect(sent.header('content-digest')).toMatch(/^sha-256=:.*:, sha-512=:.*:$/)
    for (const [label, key] of [
      ['first', ed25519],
      ['second', rsaPss],
      ['third', p256]
    ] as const) {
      await expect(verified(sent, { label, key })).resolves.toMatchObject({ label })
    }
  })

  it('makes several signatures on one message, in several layers, and keeps what is there', async () => {
    const first = await capture(withSignature(server, { key: ed25519, contentDigest: 'sha-512' }), post)
    const second = await capture(withSignature(server, { key: rsaPss, label: 'sig2' }), first.options)
    expect(second.header('content-digest')).toBe(first.header('content-digest'))
    await expect(verified(second, { label: 'sig1' })).resolves.toBeDefined()
    await expect(verified(second, { label: 'sig2', key: rsaPss })).resolves.toBeDefined()
  })

  it('refuses a label that the request has already', async () => {
    const first = await capture(withSignature(server, { key: ed25519 }), post)
    const again = capture(withSignature(server, { key: rsaPss }), first.options)
    await expect(again).rejects.toMatchObject({ code: 'MCPAUTH_LAYER_CONFLICT' })
  })

  it("refuses a caller's digest that does not fit, rather than sign it", async () => {
    const headers = { 'content-digest': 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:' }
    const layer = withSignature(server, { key: ed25519 })
    await expect(capture(layer, { ...post, headers })).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
  })

  it('describes itself, so that authFetch objects to one label twice and to headers behind it', async () => {
    const [one, two, same] = [
      withSignature(server, { key: ed25519 }),
      withSignature(server, { key: rsaPss, label: 'sig2' }),
      withSignature(server, { key: p256 })
    ]
    expect(one[layerKey]).toMatchObject({ kind: 'signature', server: new URL(server) })
    await using both = authFetch([one, two])
    expect(both).toBeTypeOf('function')
    const headers = describeLayer((dispatch) => dispatch, { kind: 'headers', server: new URL(server), sets: ['x'] })
    for (const layers of [
      [one, same],
      [one, headers]
    ]) {
      expect(() => authFetch(layers)).toThrow(expect.objectContaining({ code: 'MCPAUTH_LAYER_CONFLICT' }))
    }
  })

  it.each([
    { components: ['@nothing'] },
    { components: ['@method', '"@method"'] },
    { components: ['@method'], componentsIfPresent: ['@method'] },
    { components: 'x' as never },
    { components: ['@signature-params'] },
    { components: [7 as never] },
    { label: 'With Space' },
    { label: '' },
    { expiresInSeconds: -1 },
    { expiresInSeconds: 1.5 },
    { expiresInSeconds: 90_000 },
    { nonce: 'fixed' as never },
    { tag: 'tÿg' },
    { keyId: 'line\nbreak' },
    { parameters: ['created', 'created'] as const },
    { parameters: ['other' as never] },
    { contentDigest: 'md5' as never },
    { contentDigest: [] },
    { maxBodyBytes: -1 },
    { bind: 'host' as never },
    { additionalSignatures: [{ key: ed25519 }] }
  ])('refuses %j at construction, naming the option', (options) => {
    expect(() => withSignature(server, { key: ed25519, ...options })).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option [a-zA-Z]+/) })
    )
  })

  it('refuses a server in clear text', () => {
    expect(() => withSignature('http://mcp.example.com', { key: ed25519 })).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INSECURE_URL' })
    )
    expect(() => withSignature('http://mcp.example.com', { key: ed25519, dangerouslyAllowHttp: true })).not.toThrow(McpAuthError)
  })
})
