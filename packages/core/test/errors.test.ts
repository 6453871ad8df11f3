import { expect, test } from 'vitest'
import { invalidOption } from '../src/errors.ts'
import { McpAuthError } from '../src/index.ts'

const make = (): McpAuthError => new McpAuthError('MCPAUTH_CLOSED', 'it is closed', { hint: 'make another' })

test('an error says which it is, what happened and what to do', () => {
  const error = make()
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ name: 'McpAuthError', code: 'MCPAUTH_CLOSED', message: 'it is closed', hint: 'make another' })
  expect(new McpAuthError('MCPAUTH_CLOSED', 'it is closed').hint).toBeUndefined()
})

test('an error has a cause when there is one, whatever it is', () => {
  expect('cause' in make()).toBe(false)
  const cause = new Error('below')
  expect(new McpAuthError('MCPAUTH_NETWORK', 'no answer', { cause }).cause).toBe(cause)
  expect(new McpAuthError('MCPAUTH_NETWORK', 'no answer', { cause: null }).cause).toBeNull()
})

test('an error of another copy of this package is known by its brand, and nothing else is', () => {
  const brand = Symbol.for('mcpauth.error')
  expect(McpAuthError.is(make())).toBe(true)
  expect(McpAuthError.is(Object.assign(new Error('of another copy'), { [brand]: true }))).toBe(true)
  const branded = Object.assign(() => undefined, { [brand]: true })
  for (const value of [undefined, null, 'text', 7, new Error('plain'), { code: 'MCPAUTH_CLOSED' }, { [brand]: 1 }, branded])
    expect(McpAuthError.is(value)).toBe(false)
})

test("SDK v2's version probe lets an error pass, and the marks on it show nowhere", () => {
  const error = make()
  expect((error as unknown as Record<symbol, unknown>)[Symbol.for('mcp.authSeamEscape')]).toBe(true)
  expect(Object.getOwnPropertySymbols({ ...error })).toEqual([])
})

test('a bad option is named', () => {
  expect(invalidOption('deadlineMs', 'is not a number', 'give one')).toMatchObject({
    code: 'MCPAUTH_INVALID_OPTION',
    message: 'option deadlineMs: is not a number',
    hint: 'give one'
  })
  expect(invalidOption('deadlineMs', 'is not a number').hint).toBeUndefined()
})
