import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import { McpAuthError, publish } from '../src/index.ts'
import { withoutQueries } from '../src/url-queries.ts'

test.each([
  ['https://mcp.example.com/mcp?api_key=abc&x=1', 'https://mcp.example.com/mcp?…'],
  [
    'at http://127.0.0.1:8080/?a=b (profile x), and HTTPS://h.example/p?q#f',
    'at http://127.0.0.1:8080/?… (profile x), and HTTPS://h.example/p?…#f'
  ],
  ['"https://h.example/p?q=1" \'https://h.example/p?q=2\'', '"https://h.example/p?…" \'https://h.example/p?…\''],
  ['log in: npx @mcpauth/cli login https://h.example/mcp?k=a?b=c&d', 'log in: npx @mcpauth/cli login https://h.example/mcp?…']
])('T13: %s is printed as %s', (text, printed) => {
  expect(withoutQueries(text)).toBe(printed)
})

test.each(['is it? no', 'https://h.example/mcp', 'https://h.example/mcp?', 'ftp://h.example/?a=b', ''])('%j stays as it is', (text) => {
  expect(withoutQueries(text)).toBe(text)
})

test('T13: the message and the hint of an error, and the payload of an event, hold URLs without their queries', () => {
  const url = 'https://h.example/mcp?api_key=abc'
  const error = new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `${url} needs a login`, { hint: `login ${url}` })
  expect([error.message, error.hint]).toEqual(['https://h.example/mcp?… needs a login', 'login https://h.example/mcp?…'])
  const seen: unknown[] = []
  const listen = (payload: unknown): void => void seen.push(payload)
  subscribe('mcpauth:login:started', listen)
  publish('mcpauth:login:started', { server: url, generation: 3, nothing: undefined })
  unsubscribe('mcpauth:login:started', listen)
  expect(seen).toEqual([{ server: 'https://h.example/mcp?…', generation: 3, nothing: undefined }])
})
