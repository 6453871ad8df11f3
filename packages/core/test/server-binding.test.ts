import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bindTo, canonicalServerUrl, isLoopbackHost, parseServerUrl } from '../src/index.ts'

describe('bindTo', () => {
  const bound = (): ReturnType<typeof bindTo> => bindTo('https://mcp.example.com/mcp')
  const rows: Array<[covered: boolean, origin: string | URL | undefined, path: string]> = [
    [true, 'https://mcp.example.com', '/mcp'],
    [true, 'https://mcp.example.com', '/mcp?a=/../b'],
    [true, 'https://mcp.example.com', '/mcp?a=%2e%2e#b'],
    [true, 'https://mcp.example.com', '/mcp/%20?a=#b'],
    [true, 'https://mcp.example.com', '/mcp/x/y'],
    [true, 'https://mcp.example.com:443', '/mcp/'],
    [true, new URL('https://MCP.example.com'), '/mcp'],
    [true, 'https://mcp.example.com', '/mcp/a%20b'],
    [true, 'https://mcp.example.com', '/mcp/a%2fb'],
    [false, 'https://mcp.example.com', '/'],
    [false, 'https://mcp.example.com', '/mcp-evil'],
    [false, 'https://mcp.example.com', '/mcp%2dx'],
    [false, 'https://mcp.example.com', '/MCP'],
    [false, 'https://mcp.example.com', '/mcp/../x'],
    [false, 'https://mcp.example.com', '/mcp/%2e%2e/x'],
    [false, 'https://mcp.example.com', '/mcp/%2E./x'],
    [false, 'https://mcp.example.com', '/mcp/..%2fx'],
    [false, 'https://mcp.example.com', '/mcp/%252e%252e%252fx'],
    [false, 'https://mcp.example.com', '/mcp/%25252e%25252e%25252fx'],
    [false, 'https://mcp.example.com', '/mcp%2525252f..%2525252fx'],
    [false, 'https://mcp.example.com', '/mcp#/../x'],
    [false, 'https://mcp.example.com', '/mcp/#/../../x'],
    [false, 'https://mcp.example.com', '/mcp/a b'],
    [false, 'https://mcp.example.com', '/mcp/a\tb'],
    [false, 'https://mcp.example.com', ''],
    [false, 'https://mcp.example.com', '?/mcp'],
    [false, 'https://mcp.example.com', '/mcp/..\\x'],
    [false, 'https://mcp.example.com', '/mcp\\..\\x'],
    [false, 'https://mcp.example.com', '/mcp/..%5cx'],
    [false, 'https://mcp.example.com', '/mcp/..;a=b/x'],
    [false, 'https://mcp.example.com', '/x/../mcp'],
    [false, 'https://mcp.example.com', '//evil.example/mcp'],
    [false, 'https://mcp.example.com', 'https://evil.example/mcp'],
    [false, 'https://mcp.example.com', '@evil.example/mcp'],
    [false, 'http://mcp.example.com', '/mcp'],
    [false, 'https://mcp.example.com:444', '/mcp'],
    [false, 'https://evil.example', '/mcp'],
    [false, 'https://mcp.example.com.evil.example', '/mcp'],
    [false, 'https://mcp.example.com@evil.example', '/mcp'],
    [false, undefined, '/mcp'],
    [false, 'nonsense', '/mcp']
  ]
  test.each(rows)('N26 covers: %s, for %s and %s', (covered, origin, path) => {
    expect(bound().covers({ origin, path })).toBe(covered)
  })

  test('N26 whatever the path, what is covered resolves to below the prefix, however often a server decodes it', () => {
    const piece = fc.constantFrom('mcp', '..', '.', '/', '\\', '%2e', '%2f', '%5c', '%25', '?', '#', ';', 'x', '%00', ' ')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const path = `/mcp/${pieces.join('')}`
        if (!bound().covers({ origin: 'https://mcp.example.com', path })) return
        let decoded = path.split(/[?#]/)[0] as string
        for (let i = 0; i < 6; i++) {
          decoded = decoded.replace(/%25/g, '%').replace(/%2e/gi, '.').replace(/%2f/gi, '/').replace(/%5c/gi, '\\')
          expect(new URL(`https://mcp.example.com${decoded}`).pathname).toMatch(/^\/mcp(\/|$)/)
        }
      }),
      { numRuns: 5000 }
    )
  })

  test('N26 a path that resolves to the prefix with a parameter is covered by nothing: to some servers that is another path', () => {
    const binding = bound()
    expect(binding.covers({ origin: 'https://mcp.example.com', path: '/mcp/..%5cmcp;' })).toBe(false)
    expect(binding.covers({ origin: 'https://mcp.example.com', path: '/mcp/..%2fmcp;x=1' })).toBe(false)
    expect(binding.covers({ origin: 'https://mcp.example.com', path: '/mcp/x;v=1' })).toBe(true)
  })

  test('a server at the root covers its whole origin, and bind: origin widens a path', () => {
    for (const wide of [bindTo('https://mcp.example.com'), bindTo('https://mcp.example.com/mcp', { bind: 'origin' })]) {
      expect(wide.covers({ origin: 'https://mcp.example.com', path: '/messages?x=1' })).toBe(true)
      expect(wide.covers({ origin: 'https://mcp.example.com', path: '/a b/%2e%2e;x#y' })).toBe(true)
      expect(wide.covers({ origin: 'https://evil.example', path: '/messages' })).toBe(false)
      for (const path of ['', '?x', '@evil.example/', 'https://evil.example/', '#/'])
        expect(wide.covers({ origin: 'https://mcp.example.com', path }), path).toBe(false)
    }
  })

  test("bind is 'path' unless it is said, and anything else is refused by its name", () => {
    const elsewhere = { origin: 'https://mcp.example.com', path: '/x' }
    for (const options of [{}, { bind: 'path' }] as const)
      expect(bindTo('https://mcp.example.com/mcp', options).covers(elsewhere)).toBe(false)
    for (const bind of ['host', '', null] as never[])
      expect(() => bindTo('https://mcp.example.com/mcp', { bind })).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option bind:/) })
      )
  })

  test('a trailing slash of the server covers the path without it', () => {
    expect(bindTo('https://mcp.example.com/mcp/').covers({ origin: 'https://mcp.example.com', path: '/mcp' })).toBe(true)
  })

  test('the origin is looked at anew when it changes, also in a URL object', () => {
    const binding = bound()
    const origin = new URL('https://mcp.example.com')
    expect(binding.covers({ origin, path: '/mcp' })).toBe(true)
    origin.hostname = 'evil.example'
    expect(binding.covers({ origin, path: '/mcp' })).toBe(false)
  })
})

describe('parseServerUrl', () => {
  test.each([
    ['not a URL', 'MCPAUTH_INVALID_OPTION'],
    ['ftp://mcp.example.com', 'MCPAUTH_INVALID_OPTION'],
    ['https://user:secret-password@mcp.example.com', 'MCPAUTH_INVALID_OPTION'],
    ['https://user@mcp.example.com', 'MCPAUTH_INVALID_OPTION'],
    ['https://:secret-password@mcp.example.com', 'MCPAUTH_INVALID_OPTION'],
    ['https://mcp.example.com/#fragment', 'MCPAUTH_INVALID_OPTION'],
    ['http://mcp.example.com', 'MCPAUTH_INSECURE_URL'],
    ['http://127.0.0.1.example.com', 'MCPAUTH_INSECURE_URL']
  ])('N31 refuses %s', (url, code) => {
    expect(() => parseServerUrl(url)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(/^option server:|^http:/) }))
    expect(() => parseServerUrl(url)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret-password') }))
  })

  test('http is taken for this machine, and elsewhere only when told loudly', () => {
    for (const url of ['http://127.0.0.1:1/mcp', 'http://[::1]/mcp', 'http://localhost/mcp']) expect(parseServerUrl(url).href).toBe(url)
    expect(parseServerUrl('http://mcp.example.com/', { dangerouslyAllowHttp: true }).href).toBe('http://mcp.example.com/')
  })
})

test.each([
  ['https://mcp.example.com/', 'https://mcp.example.com'],
  ['https://MCP.example.com:443', 'https://mcp.example.com'],
  ['https://mcp.example.com/mcp/', 'https://mcp.example.com/mcp/'],
  ['https://mcp.example.com/mcp#x', 'https://mcp.example.com/mcp'],
  ['https://mcp.example.com/?a=b', 'https://mcp.example.com/?a=b']
])('canonicalServerUrl(%s)', (url, canonical) => {
  expect(canonicalServerUrl(url)).toBe(canonical)
})

test.each([
  ['localhost', true],
  ['LOCALHOST.', true],
  ['mcp.localhost', true],
  ['127.8.8.8', true],
  ['[::1]', true],
  ['localhost.example.com', false],
  ['127.evil.com', false],
  ['evil-127.0.0.1', false],
  ['127.0.0.1.evil.com', false],
  ['127.0.0.255', true],
  ['127.0.0', false],
  ['10.0.0.1', false]
])('isLoopbackHost(%s) is %s', (host, loopback) => {
  expect(isLoopbackHost(host)).toBe(loopback)
})
