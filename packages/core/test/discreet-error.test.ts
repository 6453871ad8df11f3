import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { withoutSecrets } from '../src/discreet-error.ts'
import { secrets } from '../src/index.ts'

const secret = 'the-secret-that-was-sent'
secrets.add(secret, 'token')

const quoting = (more: object = {}): Error => Object.assign(new Error(`getaddrinfo ENOTFOUND ${secret}.example`), more)

test.each<[string, Error]>([
  ['its message and stack', quoting()],
  ['a property', Object.assign(new Error('Response does not match the HTTP/1.1 protocol'), { data: `${secret}\r\n` })],
  ['a hidden property', Object.defineProperty(new Error('x'), 'input', { value: `http://[${secret}`, configurable: true })],
  ['its cause', new TypeError('fetch failed', { cause: new Error('x', { cause: quoting({ hostname: `${secret}.example` }) }) })],
  ['the last of several errors', new TypeError('fetch failed', { cause: new AggregateError([new Error('x'), quoting()], 'all failed') })],
  ['the first of several errors', new TypeError('fetch failed', { cause: new AggregateError([quoting(), new Error('x')], 'all failed') })]
])('T13: an error that quotes a secret in %s loses it, and stays the same error', (_name, error) => {
  const { message } = error
  expect(inspect(error, { showHidden: true, depth: null })).toContain(secret)
  expect(withoutSecrets(error)).toBe(error)
  expect(inspect(error, { showHidden: true, depth: null })).not.toContain(secret)
  expect(error.message).toBe(message.replace(secret, '[REDACTED:token]'))
})

test('what quotes none is not touched, and neither is what is no error', () => {
  const cause = Object.freeze(Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED', errno: -111 }))
  const error = Object.freeze(new TypeError('fetch failed', { cause }))
  const stack = error.stack
  expect(withoutSecrets(error)).toBe(error)
  expect({ ...cause, stack: error.stack, cause: error.cause }).toEqual({ code: 'ECONNREFUSED', errno: -111, stack, cause })
  for (const value of [undefined, secret, { message: secret }]) expect(withoutSecrets(value)).toEqual(value)
})

test('causes in a circle come to an end', () => {
  const error = quoting()
  error.cause = new Error(secret, { cause: error })
  expect(withoutSecrets(error).message).not.toContain(secret)
  expect((error.cause as Error).message).not.toContain(secret)
})
