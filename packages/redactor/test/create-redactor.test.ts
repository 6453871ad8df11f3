import { secrets } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { createRedactor } from '../src/index.ts'

test('T13: a registered secret is taken out of a text, with its label in its place', () => {
  secrets.add('correct-horse-battery', 'demo')
  expect(createRedactor().redactText('token is correct-horse-battery.')).toBe('token is [REDACTED:demo].')
})

test('T13: the four sensitive headers lose their values in whatever case, other headers keep theirs', () => {
  const redacted = createRedactor().redactHeaders({ AUTHORIZATION: 'Bearer x', Cookie: 'a=b', 'set-cookie': ['c=d'], Accept: 'text/html' })
  expect(redacted).toEqual({ AUTHORIZATION: '[REDACTED]', Cookie: '[REDACTED]', 'set-cookie': '[REDACTED]', Accept: 'text/html' })
})
