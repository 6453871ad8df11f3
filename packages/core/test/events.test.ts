import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { publish, secrets } from '../src/index.ts'

test('T13: an event has neither the query of a URL nor a secret that a server has made a name of, and its facts as they are', () => {
  const heard: unknown[] = []
  const listen = (payload: unknown): void => void heard.push(payload)
  subscribe('mcpauth:client:registered', listen)
  onTestFinished(() => void unsubscribe('mcpauth:client:registered', listen))
  secrets.add('the-secret-of-that-client', 'client_secret')
  publish('mcpauth:client:registered', { issuer: 'https://as.example/?key=1', clientId: 'the-secret-of-that-client', generation: 3 })
  expect(heard).toEqual([{ issuer: 'https://as.example/?…', clientId: '[REDACTED:client_secret]', generation: 3 }])
})
