import { McpAuthError } from '@mcpauth/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type SignatureOptions, type VerifyOptions, verifySignature, withSignature } from '../src/index.ts'
import { capture } from './capture.ts'
import { ed25519, p256, rsaPss, sharedSecret } from './rfc9421-appendix-b.ts'

const server = 'https://mcp.example.com/mcp'
const at = 1_700_000_000_000

async function signed(options: Partial<SignatureOptions> = {}) {
  const request = { origin: 'https://mcp.example.com', path: '/mcp', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }
  const sent = await capture(withSignature(server, { key: ed25519, now: () => at, ...options }), request)
  return { method: 'POST', url: server, headers: sent.options.headers as Record<string, string>, body: 'x' }
}

const known: VerifyOptions = { keys: [{ key: ed25519 }], now: () => at }
const refused = (fact: string) => expect.objectContaining({ code: 'MCPAUTH_SIGNATURE_INVALID', message: expect.stringContaining(fact) })

describe('verifySignature', () => {
  it('tells what a signature that holds says', async () => {
    expect(await verifySignature(await signed({ tag: 'app', nonce: () => 'n' }), { ...known, tag: 'app' })).toEqual({
      label: 'sig1',
      keyId: 'poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U',
      algorithm: 'ed25519',
      components: ['"@method"', '"@target-uri"', '"content-type"', '"content-digest"'],
      created: 1_700_000_000,
      expires: 1_700_000_300,
      nonce: 'n',
      tag: 'app',
      signatureAgent: undefined,
      bodyVerified: true
    })
  })

  it.each<[number, Partial<VerifyOptions>, Partial<SignatureOptions>, string | undefined]>([
    [0, {}, {}, undefined],
    [-30, {}, {}, undefined],
    [-31, {}, {}, 'created: in the future'],
    [-31, { clockToleranceSeconds: 31 }, {}, undefined],
    [330, {}, {}, undefined],
    [331, {}, {}, 'created: too long ago'],
    [331, { maxAgeSeconds: 600 }, {}, 'expires'],
    [600, { maxAgeSeconds: 600 }, { expiresInSeconds: false }, undefined],
    [41, { maxAgeSeconds: 600 }, { expiresInSeconds: 10 }, 'expires'],
    [40, { maxAgeSeconds: 600 }, { expiresInSeconds: 10 }, undefined]
  ])('%i s later, with %j, a signature with %j is refused for: %s', async (later, options, signing, fault) => {
    const verifying = verifySignature(await signed(signing), { ...known, now: () => at + later * 1000, ...options })
    if (fault === undefined) await expect(verifying).resolves.toBeDefined()
    else await expect(verifying).rejects.toThrow(refused(fault))
  })

  it('refuses a signature without a time', async () => {
    await expect(verifySignature(await signed({ parameters: ['keyid'] }), known)).rejects.toThrow(refused('created'))
  })

  it('refuses an unknown key, and another algorithm than the key has', async () => {
    await expect(verifySignature(await signed(), { ...known, keys: [{ key: p256 }] })).rejects.toThrow(refused('keyid'))
    await expect(verifySignature(await signed({ keyId: 'k' }), { ...known, keys: [{ key: rsaPss, keyId: 'k' }] })).rejects.toThrow(
      refused('alg')
    )
    const silent = await signed({ keyId: 'k', parameters: ['created', 'keyid'] })
    await expect(verifySignature(silent, { ...known, keys: [{ key: rsaPss, keyId: 'k' }] })).rejects.toThrow(refused('does not fit'))
  })

  it('never takes a public key for a shared secret', async () => {
    const message = await signed({ key: { env: 'S' }, env: { S: sharedSecret }, algorithm: 'hmac-sha256', keyId: 'k' })
    await expect(verifySignature(message, { ...known, keys: [{ key: rsaPss, keyId: 'k' }] })).rejects.toThrow(refused('alg'))
    const directory = { keys: [{ kty: 'oct', k: Buffer.from(sharedSecret, 'base64').toString('base64url'), kid: 'k' }] }
    await expect(verifySignature(message, { now: () => at, directory })).rejects.toThrow(refused('keyid'))
  })

  it('without a keyid takes the only key, and guesses among several never', async () => {
    const message = await signed({ parameters: ['created'] })
    await expect(verifySignature(message, known)).resolves.toMatchObject({ keyId: undefined })
    await expect(verifySignature(message, { ...known, keys: [{ key: ed25519 }, { key: p256 }] })).rejects.toThrow(refused('keyid: missing'))
  })

  it('demands the components that are required', async () => {
    await expect(verifySignature(await signed(), { ...known, required: ['@method', 'content-digest'] })).resolves.toBeDefined()
    await expect(verifySignature(await signed(), { ...known, required: ['@query'] })).rejects.toThrow(refused('"@query": not covered'))
    await expect(verifySignature(await signed(), { ...known, required: ['content-digest;bs'] })).rejects.toThrow(refused('not covered'))
    await expect(verifySignature(await signed({ components: ['@method'] }), known)).rejects.toThrow(refused('neither'))
    await expect(verifySignature(await signed({ components: ['@method'] }), { ...known, required: [] })).resolves.toBeDefined()
  })

  it('spends each nonce once, and only on a signature that holds', async () => {
    const spent = new Map<string, number>()
    const nonces = { add: async (nonce: string, until: number) => !spent.has(nonce) && Boolean(spent.set(nonce, until)) }
    const message = await signed()
    const forged = { ...message, method: 'PUT' }
    await expect(verifySignature(forged, { ...known, nonces })).rejects.toThrow(refused('does not fit'))
    expect(spent.size).toBe(0)
    await expect(verifySignature(message, { ...known, nonces })).resolves.toBeDefined()
    expect([...spent.values()]).toEqual([at + 330_000])
    await expect(verifySignature(message, { ...known, nonces })).rejects.toThrow(refused('nonce: used before'))
    await expect(verifySignature(await signed({ nonce: false }), { ...known, nonces })).rejects.toThrow(refused('nonce: missing'))
  })

  it('finds the signature that is meant among several', async () => {
    const message = await signed({ tag: 'one', additionalSignatures: [{ key: p256, label: 'sig2', tag: 'two', now: () => at }] })
    const keys = [{ key: ed25519 }, { key: p256 }]
    await expect(verifySignature(message, { ...known, keys, tag: 'two' })).resolves.toMatchObject({ label: 'sig2' })
    await expect(verifySignature(message, { ...known, keys, label: 'sig1' })).resolves.toMatchObject({ tag: 'one' })
    await expect(verifySignature(message, { ...known, keys: [{ key: p256 }] })).resolves.toMatchObject({ label: 'sig2' })
    await expect(verifySignature(message, { ...known, keys, tag: 'three' })).rejects.toThrow(refused('tagged three'))
    await expect(verifySignature(message, { ...known, keys, label: 'sig3' })).rejects.toThrow(refused('sig3'))
  })

  it('says so when the message has no signature at all', async () => {
    await expect(verifySignature({ method: 'GET', url: server, headers: {} }, known)).rejects.toThrow(refused('signature-input'))
    const headers = { 'signature-input': '', signature: '' }
    await expect(verifySignature({ method: 'GET', url: server, headers }, known)).rejects.toThrow(refused('holds no signature'))
  })

  it('gives up on a message with a thousand signatures', async () => {
    const { headers, ...message } = await signed()
    const copies = (name: string): string =>
      Array.from({ length: 1000 }, (_, index) => (headers[name] as string).replace('sig1=', `s${index}=`)).join(', ')
    const many = { ...message, headers: { ...headers, 'signature-input': copies('signature-input'), signature: copies('signature') } }
    await expect(verifySignature(many, known)).rejects.toThrow(refused('more than 16'))
  })

  it('takes a web Request, too', async () => {
    const { headers, url } = await signed()
    const request = new Request(url, { method: 'POST', body: 'x', headers })
    await expect(verifySignature(request, known)).resolves.toMatchObject({ bodyVerified: false })
  })

  it('refuses options that cannot work', async () => {
    for (const options of [
      {},
      { ...known, maxAgeSeconds: -1 },
      { ...known, clockToleranceSeconds: Number.NaN },
      { ...known, required: ['X'] }
    ]) {
      await expect(verifySignature(await signed(), options)).rejects.toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
    }
  })

  it('throws nothing but our error, however malformed the message is', async () => {
    const message = await signed()
    const input = message.headers['signature-input'] as string
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a-z0-9=;:"()?@%,. \\+/*-]{0,80}$/),
      fc
        .tuple(fc.nat(input.length), fc.nat(3), fc.string({ maxLength: 4 }))
        .map(([start, cut, put]) => input.slice(0, start) + put + input.slice(start + cut)),
      fc.stringMatching(
        /^sig1=\("[@a-z-]{1,14}"(;(sf|bs|key="a"|req|tr|name="b"|x=1.5|y=@7))?( "@method")?\)(;created=17000000\d\d)?(;alg="[a-z0-9]*")?$/
      )
    )
    const header = fc.constantFrom('signature-input', 'signature', 'content-digest', 'content-type', 'signature-agent')
    await fc.assert(
      fc.asyncProperty(header, text, fc.option(text), async (name, value, url) => {
        try {
          const headers = { ...message.headers, [name]: value }
          await verifySignature({ ...message, headers, url: url ?? server }, { ...known, required: [] })
        } catch (error) {
          expect(McpAuthError.is(error) && error.code).toBe('MCPAUTH_SIGNATURE_INVALID')
        }
      }),
      { numRuns: 1500 }
    )
  })

  it('takes no changed message for a signed one', async () => {
    const message = await signed()
    const change = fc.constantFrom('method', 'url', 'body', 'content-type', 'signature', 'signature-input')
    await fc.assert(
      fc.asyncProperty(change, fc.nat(), fc.stringMatching(/^[\x21-\x7e]$/), async (what, where, character) => {
        const put = (text: string): string => text.slice(0, where % text.length) + character + text.slice((where % text.length) + 1)
        const changed = structuredClone(message)
        if (what in message) changed[what as 'method'] = put(message[what as 'method'])
        else changed.headers[what] = put(message.headers[what] as string)
        const outcome = await verifySignature(changed, known).catch((error) => error)
        const same =
          JSON.stringify(changed) === JSON.stringify(message) || new URL(URL.canParse(changed.url) ? changed.url : 'x:').href === server
        if (McpAuthError.is(outcome)) return
        // A label and the unused bits of a signature's last base64 character may change, and the URL's host may change its case.
        expect(same && changed.body === 'x' && changed.method === 'POST' && changed.headers['content-type'] === 'text/plain').toBe(true)
      }),
      { numRuns: 500 }
    )
  })
})
