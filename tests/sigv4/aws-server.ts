import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expectedSignature, headersOf, readClaim, type WireRequest } from '../../packages/sigv4/test/reference-signature.ts'

/** What the front door of API Gateway checks, and how it says no. */
export interface AwsServer extends AsyncDisposable {
  readonly origin: string
  readonly received: WireRequest[]
  /** The service's clock, in milliseconds after ours. */
  aheadMs: number
  readonly secrets: Map<string, string>
  /** Session tokens that have ended. */
  readonly expired: Set<string>
  /** What stands behind the door. */
  behind: (request: WireRequest, response: ServerResponse) => void
}

interface Refusal {
  readonly status: number
  readonly type: string
  readonly message: string
}

const toleranceMs = 5 * 60_000

/** A real HTTP server on loopback that lets a request through only when its signature is right, for eu-central-1 and execute-api. */
export async function awsServer(secrets: ReadonlyArray<readonly [id: string, secret: string]>): Promise<AwsServer> {
  const listener = createServer(async (request, response) => {
    const wire = await wireRequest(request)
    server.received.push(wire)
    const date = Date.now() + server.aheadMs
    response.setHeader('date', new Date(date).toUTCString())
    const refusal = refusalOf(wire, date, server)
    if (!refusal) return server.behind(wire, response)
    response.writeHead(refusal.status, {
      'content-type': 'application/json',
      'x-amzn-errortype': `${refusal.type}:http://internal.amazon.com/coral/com.amazon.coral.service/`,
      'x-amzn-requestid': '3f0c7a52-0000-4000-8000-000000000000'
    })
    response.end(JSON.stringify({ message: refusal.message }))
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const server: AwsServer = {
    origin: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    received: [],
    aheadMs: 0,
    secrets: new Map(secrets),
    expired: new Set(),
    behind: (wire, response) => response.end(`ok ${wire.body.length}`),
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections()
      await new Promise((resolve) => listener.close(resolve))
    }
  }
  return server
}

async function wireRequest(request: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return { method: request.method as string, url: request.url as string, rawHeaders: request.rawHeaders, body: Buffer.concat(chunks) }
}

function refusalOf(wire: WireRequest, now: number, server: AwsServer): Refusal | undefined {
  const headers = headersOf(wire)
  const claim = readClaim(wire)
  if (!claim) return { status: 403, type: 'MissingAuthenticationTokenException', message: 'Missing Authentication Token' }
  const token = headers.get('x-amz-security-token')?.[0]
  const secret = server.secrets.get(claim.accessKeyId)
  if (secret === undefined) {
    return { status: 403, type: 'UnrecognizedClientException', message: 'The security token included in the request is invalid.' }
  }
  if (token !== undefined && server.expired.has(token)) {
    return { status: 403, type: 'ExpiredTokenException', message: 'The security token included in the request is expired' }
  }
  if (claim.region !== 'eu-central-1' || claim.service !== 'execute-api') {
    const message = `Credential should be scoped to a valid region, not '${claim.region}'. Credential should be scoped to correct service: 'execute-api'. `
    return { status: 403, type: 'InvalidSignatureException', message }
  }
  const amzDate = headers.get('x-amz-date')?.[0] ?? ''
  const signedAt = Date.parse(amzDate.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (!(Math.abs(now - signedAt) <= toleranceMs)) {
    const message = `Signature expired: ${amzDate} is now earlier than ${now - toleranceMs} (${now} - 5 min.)`
    return { status: 403, type: 'InvalidSignatureException', message }
  }
  const hashed = headers.get('x-amz-content-sha256')?.[0]
  const payloadFits = hashed === 'UNSIGNED-PAYLOAD' || hashed === createHash('sha256').update(wire.body).digest('hex')
  if (!payloadFits || expectedSignature(wire, claim, secret) !== claim.signature) {
    const apiKey = headers.get('x-api-key')?.[0]
    const message = `The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-api-key:${apiKey}\nx-amz-security-token:${token}\n'`
    return { status: 403, type: 'InvalidSignatureException', message }
  }
  return undefined
}
