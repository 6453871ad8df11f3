// What a signature costs, beside the bare operation and beside what else does the same. Ours are whole layers: binding, header copy and signature, up to a
// dispatch that sends nothing. The others get only their own call, on a message that is ready for them.
import { constants, createHash, createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto'
import type { DispatchHandler, DispatchOptions, Interceptor } from '@mcpauth/core'
import { withSignature, withWebBotAuth } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { HttpRequest } from '@smithy/protocol-http'
import { SignatureV4 } from '@smithy/signature-v4'
import { AwsV4Signer } from 'aws4fetch'
import { createSignatureSync } from 'http-message-sig'
import { createSigner, httpbis } from 'http-message-signatures'
import { signatureHeaders } from 'web-bot-auth'
import { signerFromJWK } from 'web-bot-auth/crypto'
import { type Contender, compare, print } from './harness.ts'

const url = 'https://mcp.example.com/mcp'
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const body = Buffer.alloc(300, 'x')
const request: DispatchOptions = { origin: 'https://mcp.example.com', path: '/mcp', method: 'POST', headers, body }
const handler: DispatchHandler = { onRequestStart: () => undefined }

/** A layer with nothing behind it. */
function layer(name: string, interceptor: Interceptor, options: DispatchOptions = request): Contender {
  const dispatch = interceptor(() => true)
  return { name, run: () => dispatch(options, handler) }
}

const base = Buffer.from(
  `"@authority": mcp.example.com\n"@signature-params": ("@authority");created=1735689600;keyid="${'k'.repeat(43)}";alg="ed25519";expires=1735689660;nonce="${'n'.repeat(86)}";tag="web-bot-auth"`
)

interface Scheme {
  readonly title: string
  readonly algorithm: 'ed25519' | 'rsa-pss-sha512'
  readonly key: KeyObject
  /** What web-bot-auth takes. */
  readonly jwk: JsonWebKey
  readonly sign: (data: Uint8Array) => Buffer
  readonly calls: number
}

function schemes(): Scheme[] {
  const ed25519 = generateKeyPairSync('ed25519').privateKey
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const pss = { key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }
  return [
    { title: 'Ed25519', algorithm: 'ed25519', key: ed25519, jwk: jwkOf(ed25519), sign: (data) => sign(null, data, ed25519), calls: 20 },
    {
      title: 'RSA-PSS-2048',
      algorithm: 'rsa-pss-sha512',
      key: rsa,
      jwk: { ...jwkOf(rsa), alg: 'PS512' },
      sign: (data) => sign('sha512', data, pss),
      calls: 4
    }
  ]
}

function jwkOf(key: KeyObject): JsonWebKey {
  return key.export({ format: 'jwk' })
}

async function signatureContenders({ algorithm, key, jwk, sign }: Scheme): Promise<Contender[]> {
  const webBotAuth = await signerFromJWK(jwk as never)
  const theirKey = createSigner(key, algorithm, 'key')
  const fields = Object.entries(headers).map(([name, value]) => ({ name, value }))
  const descriptor = { kind: 'request', method: 'POST', targetUri: url, fields } as const
  return [
    { name: 'bare crypto.sign', run: () => sign(base) },
    layer('mcpauth withWebBotAuth', withWebBotAuth(url, { key })),
    layer('mcpauth withWebBotAuth, Signature-Agent', withWebBotAuth(url, { key, signatureAgent: 'https://bot.example' })),
    layer('mcpauth withSignature, body digested', withSignature(url, { key })),
    {
      name: 'web-bot-auth',
      run: () => {
        const created = new Date()
        return signatureHeaders({ method: 'POST', url, headers }, webBotAuth, { created, expires: new Date(created.getTime() + 60_000) })
      }
    },
    {
      name: 'http-message-signatures',
      run: () => httpbis.signMessage({ key: theirKey, fields: ['@authority'] }, { method: 'POST', url, headers })
    },
    {
      name: 'http-message-sig, synchronous, with node:crypto',
      run: () => {
        const created = Math.floor(Date.now() / 1000)
        const parameters = { created, expires: created + 60, keyid: 'key', alg: algorithm, tag: 'web-bot-auth' }
        return createSignatureSync(descriptor, { components: ['@authority'], parameters, signer: { algorithm, sign } })
      }
    }
  ]
}

/** Node's hash in the shape that smithy asks for. */
class NodeSha256 {
  readonly #hash: { update(data: Uint8Array | string): unknown; digest(): Buffer }

  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array)
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  reset(): void {
    throw new Error('is made anew for each hash')
  }
}

function sigV4Contenders(): Contender[] {
  // The example credentials of the AWS documentation.
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
  const [region, service, hostname] = ['us-east-1', 'execute-api', 'mcp.example.com']
  const smithy = new SignatureV4({ credentials, region, service, sha256: NodeSha256 as never, applyChecksum: true })
  return [
    {
      name: 'bare @smithy/signature-v4, node:crypto',
      run: () =>
        smithy.sign(
          new HttpRequest({ method: 'POST', protocol: 'https:', hostname, path: '/mcp', headers: { ...headers, host: hostname }, body })
        )
    },
    layer('mcpauth withSigV4', withSigV4(url, { region, service, credentials: async () => credentials })),
    { name: 'aws4fetch', run: () => new AwsV4Signer({ url, method: 'POST', headers, body, region, service, ...credentials }).sign() }
  ]
}

/** Prints what signing costs: RFC 9421 and Web Bot Auth with two kinds of key, and SigV4. */
export async function signingBench(): Promise<void> {
  for (const scheme of schemes()) {
    const rows = await compare(await signatureContenders(scheme), { rounds: 120, calls: scheme.calls })
    print(`RFC 9421 and Web Bot Auth, ${scheme.title}: ratios to the bare signature`, rows)
  }
  print('SigV4: ratios to @smithy/signature-v4', await compare(sigV4Contenders(), { rounds: 120, calls: 20 }))
}
