import { expect, test } from 'vitest'
import { requireNode } from '../src/undici.ts'

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
