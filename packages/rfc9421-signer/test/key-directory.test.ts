import { describe, expect, it } from 'vitest'
import { directoryMediaType, directoryTag, keyDirectory, verifySignature, withWebBotAuth } from '../src/index.ts'
import { capture } from './capture.ts'
import { ed25519, p256, rsaPss, sharedSecret } from './rfc9421-appendix-b.ts'

const at = 1_700_000_000_000
const directory = keyDirectory([{ key: ed25519 }, { key: rsaPss }, { key: p256 }], { now: () => at })
const url = 'https://bot.example/.well-known/http-message-signatures-directory'

describe('keyDirectory', () => {
  it('publishes public keys only', () => {
    expect(directory.jwks.keys).toHaveLength(3)
    for (const key of directory.jwks.keys) {
      expect(Object.keys(key).filter((name) => !['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'use', 'alg'].includes(name))).toEqual([])
      expect(key.use).toBe('sig')
    }
    for (const secret of [ed25519.d, rsaPss.d, rsaPss.p, p256.d]) expect(JSON.stringify(directory)).not.toContain(secret)
    expect(() => keyDirectory([{ key: { env: 'S' }, env: { S: sharedSecret }, algorithm: 'hmac-sha256' }])).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' })
    )
  })

  it('has the key ids that withWebBotAuth sends, and verifies its requests', async () => {
    for (const [index, key] of [ed25519, rsaPss, p256].entries()) {
      const layer = withWebBotAuth('https://mcp.example.com/', { key, signatureAgent: 'https://bot.example', now: () => at })
      const sent = await capture(layer, { origin: 'https://mcp.example.com', path: '/', method: 'GET' })
      const asked: unknown[] = []
      const find = async (about: unknown): Promise<typeof directory.jwks> => {
        asked.push(about)
        return directory.jwks
      }
      const verified = await verifySignature(
        { method: 'GET', url: 'https://mcp.example.com/', headers: sent.options.headers },
        { directory: find, now: () => at }
      )
      expect(verified.keyId).toBe(directory.jwks.keys[index]?.kid)
      expect(asked).toEqual([{ keyId: verified.keyId, signatureAgent: { label: 'sig1', uri: 'https://bot.example', type: 'directory' } }])
    }
  })

  it('answers with its media type and a signature by each key, bound to the host that was asked', async () => {
    const { status, headers, body } = directory.respond('Bot.example:443')
    expect(headers).toMatchObject({ 'content-type': directoryMediaType, 'cache-control': 'max-age=86400' })
    expect(JSON.parse(body)).toEqual(directory.jwks)
    const message = { status, headers, body, request: { method: 'GET', url, headers: {} } }
    for (const [index, { kid }] of directory.jwks.keys.entries()) {
      const verified = await verifySignature(message, {
        directory: directory.jwks,
        label: `binding${index}`,
        tag: directoryTag,
        now: () => at
      })
      expect(verified).toMatchObject({ keyId: kid, components: ['"@authority";req', '"content-digest"'], bodyVerified: true })
    }
    const elsewhere = { ...message, request: { ...message.request, url: 'https://evil.example/' } }
    await expect(verifySignature(elsewhere, { directory: directory.jwks, now: () => at })).rejects.toMatchObject({
      code: 'MCPAUTH_SIGNATURE_INVALID'
    })
    const changed = { ...message, body: body.replace('sig', 'enc') }
    await expect(verifySignature(changed, { directory: directory.jwks, now: () => at })).rejects.toMatchObject({
      code: 'MCPAUTH_SIGNATURE_INVALID'
    })
    await expect(verifySignature({ ...message, request: undefined }, { directory: directory.jwks, now: () => at })).rejects.toMatchObject({
      code: 'MCPAUTH_SIGNATURE_INVALID'
    })
  })

  it.each(['', 'a/b', 'a b', 'user@bot.example'])('refuses to answer for the host %j', (host) => {
    expect(() => directory.respond(host)).toThrow(expect.objectContaining({ code: 'MCPAUTH_SIGNATURE_INVALID' }))
  })

  it('refuses no key, a key twice, and times that are none', () => {
    for (const [keys, options] of [
      [[], {}],
      [[{ key: p256 }, { key: p256 }], {}],
      [[{ key: p256 }], { maxAgeSeconds: -1 }],
      [[{ key: p256 }], { expiresInSeconds: 0 }]
    ] as const) {
      expect(() => keyDirectory(keys, options)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
    }
  })

  it('counts keys that it cannot use as absent', async () => {
    const layer = withWebBotAuth('https://mcp.example.com/', { key: ed25519, now: () => at })
    const sent = await capture(layer, { origin: 'https://mcp.example.com', path: '/', method: 'GET' })
    const message = { method: 'GET', url: 'https://mcp.example.com/', headers: sent.options.headers }
    const odd = [null, 7, {}, { kty: 'OKP', crv: 'X25519', x: 'AA' }, { kty: 'RSA', n: 'AQAB', e: 'AQAB' }] as never[]
    await expect(verifySignature(message, { directory: { keys: [...odd, ...directory.jwks.keys] }, now: () => at })).resolves.toBeDefined()
    for (const nothing of [{ keys: odd }, { keys: 'x' as never }, () => undefined]) {
      await expect(verifySignature(message, { directory: nothing, now: () => at })).rejects.toMatchObject({
        code: 'MCPAUTH_SIGNATURE_INVALID'
      })
    }
  })
})
