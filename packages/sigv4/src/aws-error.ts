import { type AnswerHead, type HeldAnswer, McpAuthError, safeText, secrets } from '@mcpauth/core'
import type { ResolvedScope } from './region-and-service.ts'

/**
 * Why AWS refused a signed request.
 * - `expired-session`: the session token has ended.
 * - `clock-skew`: the signature's date is too far from the service's.
 * - `wrong-scope`: signed for another region or service.
 * - `wrong-key`: the access key is unknown, or the secret is not its own.
 * - `unknown-route`: API Gateway has nothing at this path.
 * - `not-authorised`: the signature is right, the identity may not do this.
 */
export type AwsRefusalReason = 'expired-session' | 'clock-skew' | 'wrong-scope' | 'wrong-key' | 'unknown-route' | 'not-authorised'

/** AWS refused a signed request, and it could not be mended. Its `code` is `MCPAUTH_AWS_REFUSED`. */
export class AwsRefusedError extends McpAuthError {
  readonly reason: AwsRefusalReason
  /** The HTTP status. */
  readonly status: number
  /** AWS's name of the error, as in `AccessDeniedException`; made safe to print. */
  readonly errorType: string | undefined
  /** What AWS's support asks for. */
  readonly requestId: string | undefined

  constructor(refusal: AwsRefusal, message: string, hint: string) {
    super('MCPAUTH_AWS_REFUSED', message, { hint })
    this.reason = refusal.reason
    this.status = refusal.status
    this.errorType = refusal.errorType
    this.requestId = refusal.requestId
  }
}

/** What AWS's answer says. */
export interface AwsRefusal {
  readonly reason: AwsRefusalReason
  readonly status: number
  readonly errorType: string | undefined
  /** One line, without secrets, safe to print; may be empty. */
  readonly message: string
  readonly requestId: string | undefined
}

interface RefusalRule {
  readonly reason: AwsRefusalReason
  readonly types: RegExp
  readonly messages: RegExp
}

/** The first that fits counts: services give one type to many things, and their sentence is then the more exact. */
const rules: readonly RefusalRule[] = [
  {
    reason: 'clock-skew',
    types: /^(?:RequestTimeTooSkewed|RequestExpired)/,
    messages: /signature (?:expired:|not yet current)|request has expired/i
  },
  {
    reason: 'wrong-scope',
    types: /^AuthorizationHeaderMalformed/,
    messages: /should be scoped to|must be scoped to|the region '[^']*' is wrong/i
  },
  {
    reason: 'expired-session',
    types: /^(?:ExpiredToken|TokenRefreshRequired)/,
    messages: /security token included in the request is expired|token has expired/i
  },
  {
    reason: 'wrong-key',
    types:
      /^(?:UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|InvalidToken|SignatureDoesNotMatch|InvalidSignature|IncompleteSignature)/,
    messages: /security token included in the request is invalid|signature we calculated does not match/i
  },
  { reason: 'unknown-route', types: /^MissingAuthenticationToken/, messages: /^missing authentication token$/i },
  {
    reason: 'not-authorised',
    types: /^(?:AccessDenied|Forbidden|NotAuthorized|Unauthorized)/,
    messages: /^user: .* is not authorized to perform/i
  }
]

/** Whether an answer may be AWS's refusal, by its head. A 400 or 401 only where AWS names one of the errors above; most of them are the server's own. */
export function mayBeRefusal({ status, headers }: AnswerHead): boolean {
  if (status === 403) return true
  if (status !== 400 && status !== 401) return false
  const type = typeFromHeader(headers)
  return type !== undefined && rules.some(({ types }) => types.test(type))
}

/** Reads AWS's refusal out of an answer; undefined when it is not AWS that refused, but the server behind it. */
export function readRefusal(answer: HeldAnswer): AwsRefusal | undefined {
  const body = readBody(answer.body)
  const named = typeFromHeader(answer.headers)
  const type = named ?? body.type
  const rule = ruleOf(type, body.message)
  if (!rule && named === undefined) return undefined
  return {
    reason: rule?.reason ?? 'not-authorised',
    status: answer.status,
    errorType: type === undefined ? undefined : safeText(secrets.redact(type), 80),
    message: printable(body.message),
    requestId: requestIdOf(answer)
  }
}

/** A sentence first, since `InvalidSignatureException` also stands for a clock or a scope that is off. */
function ruleOf(type: string | undefined, message: string): RefusalRule | undefined {
  return rules.find(({ messages }) => messages.test(message)) ?? rules.find(({ types }) => type !== undefined && types.test(type))
}

/** The error for a refusal that stays. */
export function refusedError(refusal: AwsRefusal, server: URL, scope: ResolvedScope, source: string): AwsRefusedError {
  const { fact, hint } = explanations[refusal.reason](scope, source)
  const said = refusal.message === '' ? '' : `; it says: ${refusal.message}`
  return new AwsRefusedError(refusal, `${server.origin} answered ${refusal.status}: ${fact}${said}`, hint)
}

interface Explanation {
  readonly fact: string
  readonly hint: string
}

const explanations: Readonly<Record<AwsRefusalReason, (scope: ResolvedScope, source: string) => Explanation>> = {
  'expired-session': (_, source) => ({
    fact: `the AWS session from ${source} has expired, and asking again gave no newer one`,
    hint: 'log in again (aws sso login), or renew the session where it comes from'
  }),
  'clock-skew': () => ({
    fact: "the signature's date is too far from the service's, also after the clock was corrected by the answer's Date header",
    hint: 'set the clock of this machine; a proxy that answers from a cache can also be the cause'
  }),
  'wrong-scope': ({ region, service, regionFrom }) => ({
    fact: `it was signed for region ${region} (from ${regionFrom}) and service ${service}, and one of them is wrong`,
    hint: 'pass the region and service of this endpoint to withSigV4'
  }),
  'wrong-key': (_, source) => ({
    fact: `the access key from ${source} is unknown to it, or the secret key is not its own`,
    hint: 'check which identity is used: aws sts get-caller-identity. If the keys are right, something on the way changes signed headers or the body'
  }),
  'unknown-route': () => ({
    fact: 'it has no route for this path and method, or the request lost its signature on the way',
    hint: 'check the URL, its stage and its path'
  }),
  'not-authorised': ({ service }, source) => ({
    fact: `the identity from ${source} is known, and may not do this`,
    hint: `allow it in its IAM policy and in the resource policy of the endpoint (${service})`
  })
}

function typeFromHeader(headers: AnswerHead['headers']): string | undefined {
  const value = headers['x-amzn-errortype']
  return typeName(Array.isArray(value) ? value[0] : value)
}

/** `InvalidSignatureException:http://internal.amazon.com/…` and `com.amazon.coral.service#AccessDeniedException` both hold one name. */
function typeName(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return (
    value
      .slice(value.indexOf('#') + 1)
      .split(':')[0]
      ?.trim() || undefined
  )
}

function readBody(body: Uint8Array): { type: string | undefined; message: string } {
  const text = Buffer.from(body).toString('utf8').trimStart()
  return text.startsWith('<') ? readXml(text) : readJson(text)
}

function readJson(text: string): { type: string | undefined; message: string } {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return { type: undefined, message: '' }
  }
  const fields = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  const message = fields.message ?? fields.Message
  return { type: typeName(fields.__type), message: typeof message === 'string' ? message : '' }
}

function readXml(text: string): { type: string | undefined; message: string } {
  const type = /<Code>([^<]{1,200})<\/Code>/.exec(text)?.[1]
  return { type: typeName(type), message: /<Message>([^<]{1,4000})<\/Message>/.exec(text)?.[1] ?? '' }
}

/** A mismatch is answered with the canonical request, and so with the session token and every signed header: that part is left out. */
function printable(message: string): string {
  return safeText(secrets.redact(message.split(/The Canonical String/i)[0] ?? ''))
}

function requestIdOf({ headers }: AnswerHead): string | undefined {
  const value = headers['x-amzn-requestid'] ?? headers['x-amz-request-id'] ?? headers['apigw-requestid']
  return safeText(Array.isArray(value) ? value[0] : value, 100) || undefined
}
