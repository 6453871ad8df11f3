import { asAuthProvider, asOAuthClientProvider } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { startRecordingServer } from '../servers/index.ts'
import { openScene, type Road, roads } from '../wire/roads.ts'
import { connectWith, settled } from './provider-clients.ts'

const cases = roads
  .filter(({ transport }) => transport === 'http')
  .flatMap((road) => [
    { ...road, provider: 'asOAuthClientProvider', make: asOAuthClientProvider },
    ...(road.sdk === 'v2' ? [{ ...road, provider: 'asAuthProvider', make: asAuthProvider }] : [])
  ])

describe.each(cases)('$provider, $name', ({ make, ...road }) => {
  test.each([301, 302, 303, 307, 308])('T6: at a %i to another origin the token does not go along', async (status) => {
    await using elsewhere = await startRecordingServer()
    await using scene = await openScene(road as Road)
    await using client = await connectWith(road as Road, scene.url, make(scene.tokens))
    await settled(scene)
    const record = await scene.store.read({ kind: 'server', url: scene.url.href })
    scene.server.redirect({ status, url: elsewhere.url })
    await expect(client.call('echo', { text: 'x' })).rejects.toThrow()
    expect(elsewhere.transcript()).not.toContain(record?.access_token)
    expect(elsewhere.transcript()).not.toContain(record?.refresh_token)
  })
})
