import { describe, expect, test } from 'vitest'
import { describeLayer, type Interceptor, type Layer } from '../src/index.ts'
import { redirectRule } from '../src/redirect-rule.ts'

const origin = 'https://mcp.example.com'
const elsewhere = 'https://other.example.com'

function layerAt(path: string, kind: Layer['kind'] = 'credential'): Interceptor {
  return describeLayer((dispatch) => dispatch, { kind, server: new URL(path, origin), sets: [] })
}

function request(path: string, at: string | URL = origin) {
  return { method: 'POST', origin: at, path }
}

const unnamed: Interceptor = (dispatch) => dispatch
const layers = [
  unnamed,
  layerAt('/mcp'),
  layerAt('/mcp/inner'),
  layerAt('/other'),
  layerAt('/', 'connection'),
  layerAt('http://intranet.example/mcp')
]

describe.each(['path', 'origin'] as const)('T6: a redirect, with layers bound to their %s,', (bind) => {
  const leadsElsewhere = redirectRule(layers, bind)

  test('to another origin leads elsewhere, whoever is there', () => {
    expect(leadsElsewhere(request('/mcp', elsewhere), request('/mcp'))).toBe(true)
    expect(leadsElsewhere(request('/mcp'), request('/mcp', elsewhere))).toBe(true)
    expect(leadsElsewhere(request('/', elsewhere), request('/', 'https://third.example.com'))).toBe(true)
  })

  test('to the server where the call began does not, in whatever form its origin is', () => {
    expect(leadsElsewhere(request('/mcp'), request('/mcp/x'))).toBe(false)
    expect(leadsElsewhere(request('/mcp', { toString: () => origin } as URL), request('/mcp'))).toBe(false)
  })
})

test.each([
  ['/mcp', '/other', true],
  ['/mcp', '/mcp/inner', true],
  ['/mcp/inner', '/mcp', true],
  ['/none', '/mcp', true],
  ['/mcp', '/none', false],
  ['/none', '/nothing', false]
])('T6: on one origin, from %s to %s leads to another server: %s', (from, to, expected) => {
  expect(redirectRule(layers, 'path')(request(from), request(to))).toBe(expected)
})
