import { expect, test } from 'vitest'
import { describe as line } from '../../src/commands/status.ts'

const now = Date.UTC(2026, 10, 20)
const login = { server: 'https://mcp.example.com/mcp', loggedIn: true, canRefresh: true, generation: 3 }

test.each([
  [{ ...login, loggedIn: false }, 'not logged in; log in with: npx @mcpauth/cli login https://mcp.example.com/mcp'],
  [login, 'logged in, renewed by itself'],
  [
    { ...login, issuer: 'https://as.example.com', scope: 'mcp:read', expiresAt: new Date(now + 600_000) },
    'logged in through https://as.example.com, for mcp:read, token good for 10 min, then renewed by itself'
  ],
  [{ ...login, expiresAt: new Date(now - 1) }, 'logged in, token renewed at the next request'],
  [
    { ...login, canRefresh: false, expiresAt: new Date(now - 1) },
    'logged in, token expired; log in again with: npx @mcpauth/cli login https://mcp.example.com/mcp'
  ],
  [{ ...login, canRefresh: false, expiresAt: new Date(now + 5 * 3_600_000) }, 'logged in, token good for 5 h, then log in again'],
  [{ ...login, canRefresh: false, expiresAt: new Date(now + 30 * 86_400_000) }, 'logged in, token good for 30 days, then log in again']
])('%j is told as one line', (status, told) => {
  expect(line(status, now)).toBe(`${status.server}: ${told}`)
})

test('a profile is named beside its server', () => {
  expect(line({ ...login, profile: 'work', loggedIn: false }, now)).toMatch(/^https:\/\/mcp\.example\.com\/mcp \(work\): /)
})

test('T14: what a shell would run is in no command to paste', () => {
  const odd = { ...login, server: 'https://mcp.example.com/;id', profile: '$(id)', loggedIn: false }
  expect(line(odd, now)).toMatch(/log in with: npx @mcpauth\/cli login <url> --profile <profile>$/)
})
