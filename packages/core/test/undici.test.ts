import { expect, onTestFinished, test } from 'vitest'
import { loadUndici, requireNode } from '../src/undici.ts'

test.each(['18.20.4', '20.20.2', '22.18.9'])('on Node %s a sentence says what is needed', (version) => {
  expect(() => requireNode(version)).toThrow(
    expect.objectContaining({
      code: 'MCPAUTH_UNSUPPORTED_RUNTIME',
      message: expect.stringContaining(version),
      hint: expect.stringContaining('nodejs.org')
    })
  )
})

test.each(['22.19.0', '24.0.0', '26.10.0', process.versions.node])('Node %s will do', (version) => {
  expect(() => requireNode(version)).not.toThrow()
})

test('a Node that is too old is told before undici is loaded', () => {
  const node = Object.getOwnPropertyDescriptor(process.versions, 'node') as PropertyDescriptor
  Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' }, configurable: true, enumerable: true })
  const versions = { ...process.versions, node: node.value as string }
  onTestFinished(() => void Object.defineProperty(process, 'versions', { value: versions, configurable: true, enumerable: true }))
  expect(loadUndici).toThrow(expect.objectContaining({ code: 'MCPAUTH_UNSUPPORTED_RUNTIME' }))
})
