import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { canonicalRequest, type PathRules, type SignableRequest } from '../src/canonical-request.ts'
import { amzDate, authorization, signatureOf, stringToSign } from '../src/sign-request.ts'
import { credentialScope, signingKey } from '../src/signing-key.ts'

const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'sigv4')
const present = existsSync(vectors)

/** One character per byte, as the code under test sees a request. */
function wire(file: string): string {
  return readFileSync(file, 'latin1').replaceAll('\r\n', '\n')
}

interface VectorRequest {
  readonly method: string
  readonly path: string
  readonly headers: Array<[string, string]>
  readonly body: string
}

function parsed(text: string): VectorRequest {
  const [head = '', ...rest] = text.split('\n\n')
  const [line = '', ...lines] = head.split('\n')
  const [, method = '', path = ''] = /^(\S+) (.*) HTTP\/1\.1$/.exec(line) ?? []
  const headers = lines.filter(Boolean).map((header): [string, string] => {
    const colon = header.indexOf(':')
    return [header.slice(0, colon), header.slice(colon + 1)]
  })
  return { method, path, headers, body: rest.join('\n\n') }
}

async function sha256(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text, 'latin1'))).toString('hex')
}

const scope = { region: 'us-east-1', service: 'service' }

interface Expected {
  readonly canonical: string
  readonly text: string
  readonly signature: string
  readonly header: string
}

function check(request: SignableRequest, rules: PathRules, keys: { id: string; secret: string }, date: string, expected: Expected): void {
  const canonical = canonicalRequest(request, rules)
  expect(canonical.text).toBe(expected.canonical)
  const text = stringToSign(canonical.text, date, scope)
  expect(text).toBe(expected.text)
  const signature = signatureOf(text, signingKey(keys.secret, date.slice(0, 8), scope))
  expect(signature).toBe(expected.signature)
  expect(authorization(keys.id, credentialScope(date.slice(0, 8), scope), canonical, signature)).toBe(expected.header)
}

function headerIn(signedRequest: string): string {
  return (/^Authorization: ?(.*)$/m.exec(signedRequest) as RegExpExecArray)[1] as string
}

describe.skipIf(!present)('aws-c-auth: each case of the official suite is signed as it says', () => {
  const folders = present ? globSync(join(vectors, 'aws-c-auth-v4/*/context.json')).map(dirname) : []

  it('holds 20 cases', () => expect(folders).toHaveLength(20))

  it.each(folders.map((folder) => [basename(folder), folder]))('%s', async (_, folder) => {
    const context = JSON.parse(wire(join(folder, 'context.json')))
    const { method, path, headers, body } = parsed(wire(join(folder, 'request.txt')))
    const date = amzDate(Date.parse(context.timestamp))
    const payloadHash = await sha256(body)
    headers.push(['X-Amz-Date', date])
    if (context.credentials.token) headers.push(['X-Amz-Security-Token', context.credentials.token])
    if (context.sign_body) headers.push(['x-amz-content-sha256', payloadHash])
    check(
      { method, path, headers, payloadHash },
      { normalize: context.normalize, encode: true },
      { id: context.credentials.access_key_id, secret: context.credentials.secret_access_key },
      date,
      {
        canonical: wire(join(folder, 'header-canonical-request.txt')),
        text: wire(join(folder, 'header-string-to-sign.txt')),
        signature: wire(join(folder, 'header-signature.txt')),
        header: headerIn(wire(join(folder, 'header-signed-request.txt')))
      }
    )
  })
})

describe.skipIf(!present)('botocore: each case of the classic suite is signed as it says', () => {
  const files = present ? globSync(join(vectors, 'botocore/**/*.req')) : []

  it('holds 18 cases', () => expect(files).toHaveLength(18))

  it.each(files.map((file) => [basename(file, '.req'), file.slice(0, -4)]))('%s', async (_, stem) => {
    const { method, path, headers, body } = parsed(wire(`${stem}.req`))
    const header = wire(`${stem}.authz`)
    check(
      { method, path, headers, payloadHash: await sha256(body) },
      { normalize: true, encode: true },
      { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
      '20150830T123600Z',
      {
        canonical: wire(`${stem}.creq`),
        text: wire(`${stem}.sts`),
        signature: header.slice(-64),
        header
      }
    )
    expect(headerIn(wire(`${stem}.sreq`))).toBe(header)
  })
})
