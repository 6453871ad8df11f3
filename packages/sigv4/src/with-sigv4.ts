import { hash } from 'node:crypto'
import { stringify } from 'node:querystring'
import {
  type AnswerHead,
  type BindOptions,
  bindTo,
  type Dispatch,
  type DispatchOptions,
  describeLayer,
  type Environment,
  type HeaderPairs,
  type HeldAnswer,
  headerPairs,
  headerValue,
  type Interceptor,
  invalidOption,
  knownBytes,
  type Prepared,
  type ReplayPolicy,
  readBytes,
  replaying,
  type Turn,
  withBody,
  withHeaderValues
} from '@mcpauth/core'
import { mayBeRefusal, readRefusal, refusedError } from './aws-error.ts'
import { awsFileNames, readProfile } from './aws-profile.ts'
import { type AwsCredentials, type AwsCredentialsOption, credentialsSource } from './credentials.ts'
import { type CredentialsCache, credentialsCache, type HeldCredentials } from './credentials-cache.ts'
import { isScopeName, type ProfileRegion, type ResolvedScope, resolveScope, resolveService } from './region-and-service.ts'
import { requestSigner, type SignRequest, unsignedPayload } from './sign-request.ts'

/** Options of {@link withSigV4}. */
export interface SigV4Options extends Pick<BindOptions, 'bind' | 'dangerouslyAllowHttp'> {
  /** Where the keys come from. */
  credentials: AwsCredentialsOption
  /** @default the named profile's, AWS_REGION, AWS_DEFAULT_REGION, the default profile's with `'chain'`, or the host name's */
  region?: string
  /** The name the service is signed for, as in `execute-api`. @default the host name's */
  service?: string
  /** What happens to a body whose bytes are not known: read it first, or send it without its hash (once; it cannot be sent again). @default 'buffer' */
  streams?: 'buffer' | 'unsigned'
  /** The longest body that is read first, in bytes. @default 10 MiB */
  maxBodyBytes?: number
  /** @default process.env. The AWS SDK's own providers always read process.env. */
  env?: Environment
  /** Milliseconds since the epoch. @default Date.now */
  now?: () => number
}

/** What one send carried. */
interface Sent {
  readonly held: HeldCredentials
  readonly scope: ResolvedScope
  readonly signedAtMs: number
}

const defaultMaxBodyBytes = 10 * 1024 * 1024
/** AWS accepts a signature five minutes old or early; a date nearer than this is not what it refused. */
const skewToleranceMs = 60_000

/**
 * Signs every request to `server` with AWS Signature Version 4: what is signed is what is sent, path, query, host and body.
 *
 * Credentials are fetched once for many requests and renewed ahead of their end, one fetch at a time. An expired session is renewed, and a clock that is off is
 * corrected by the answer's `Date`, and the request sent again: once each. Other refusals of AWS become an {@link AwsRefusedError} that tells them apart; a 403 of
 * the server behind it passes.
 *
 * @param server The MCP server; other requests pass untouched.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL`, `MCPAUTH_AWS_UNKNOWN_SCOPE` at construction; on the road `MCPAUTH_AWS_REFUSED`,
 * `MCPAUTH_AWS_CREDENTIALS`, `MCPAUTH_BODY_TOO_LARGE`, and `MCPAUTH_AWS_UNKNOWN_SCOPE` when a profile has to be read for the region.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withSigV4 } from '@mcpauth/sigv4'
 *
 * const url = new URL('https://abc123.execute-api.eu-central-1.amazonaws.com/prod/mcp')
 * export const fetch = authFetch(withSigV4(url, { credentials: { profile: 'prod' } }))
 * ```
 */
export function withSigV4(server: string | URL, options: SigV4Options): Interceptor {
  const { streams = 'buffer', maxBodyBytes = defaultMaxBodyBytes } = checked(options)
  const { server: url } = bindTo(server, options)
  const signing = signingPolicy(url, options)
  const buffering = bufferingPolicy(maxBodyBytes)

  return describeLayer(
    (dispatch, road) => {
      const binding = bindTo(url, { ...options, bind: options.bind ?? road?.bind ?? 'path' })
      const signed: Dispatch = (request, handler) => replaying(dispatch, request, handler, signing, road)
      return (request, handler) => {
        if (!binding.covers(request)) return dispatch(request, handler)
        const known = streams === 'unsigned' || knownBytes(request.body) !== undefined
        return known ? signed(request, handler) : replaying(signed, request, handler, buffering, road)
      }
    },
    { kind: 'signature', server: url, sets: ['authorization', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token'] }
  )
}

/** Reading comes before signing and is a policy of its own, so that what was read can be signed and sent again. */
function bufferingPolicy(maxBodyBytes: number): ReplayPolicy<undefined> {
  return {
    async prepare(original) {
      const read = withBody(original, await readBytes(original.body, maxBodyBytes))
      // undici takes a Blob's type from the Blob, which is gone now.
      const type = (original.body as Partial<Blob>).type
      const typed = typeof type === 'string' && type !== '' && headerValue(original.headers, 'content-type') === undefined
      return { options: typed ? withHeaderValues(read, { 'content-type': type }) : read, sent: undefined }
    },
    inspect: () => false,
    recover: async () => 'pass'
  }
}

function signingPolicy(server: URL, options: SigV4Options): ReplayPolicy<Sent> {
  // biome-ignore lint/style/noProcessEnv: the default of an injectable option
  const { credentials: option, now = Date.now, env = process.env } = options
  const source = credentialsSource(option, env)
  const clock = correctedClock(now)
  const credentials = credentialsCache(source, clock.now)
  const signer = scopedSigner(server, options, env)

  function prepare(original: DispatchOptions): Prepared<Sent> | Promise<Prepared<Sent>> {
    const held = credentials.current()
    return held instanceof Promise ? held.then((ready) => withSigner(original, ready)) : withSigner(original, held)
  }

  /** After the credentials: of a profile that is not there, their error says more than an unknown region. */
  function withSigner(original: DispatchOptions, held: HeldCredentials): Prepared<Sent> | Promise<Prepared<Sent>> {
    const ready = signer()
    return ready instanceof Promise ? ready.then((ready) => signedRequest(original, ready, held)) : signedRequest(original, ready, held)
  }

  function signedRequest(original: DispatchOptions, { scope, sign }: ScopedSigner, held: HeldCredentials): Prepared<Sent> {
    const request = withoutForeignToken(withWholePath(original), held.credentials)
    const signedAtMs = clock.now()
    const bytes = knownBytes(request.body)
    const headers = sign(
      {
        method: request.method,
        path: request.path,
        headers: withHost(headerPairs(request.headers), server),
        payloadHash: bytes === undefined ? unsignedPayload : hash('sha256', bytes, 'hex')
      },
      held.credentials,
      signedAtMs
    )
    return { options: withHeaderValues(request, headers), sent: { held, scope, signedAtMs } }
  }

  async function recover(answer: HeldAnswer, sent: Sent, turn: Turn): Promise<'again' | 'pass'> {
    const refusal = readRefusal(answer)
    if (refusal === undefined) return 'pass'
    const mended =
      (refusal.reason === 'expired-session' && turn.spend('sigv4:session') && (await isRenewed(credentials, sent.held))) ||
      (refusal.reason === 'clock-skew' && turn.spend('sigv4:clock') && clock.correct(answer, sent.signedAtMs))
    if (mended) return 'again'
    throw refusedError(refusal, server, sent.scope, source.name)
  }

  return { prepare, inspect: mayBeRefusal, recover }
}

async function isRenewed(credentials: CredentialsCache, refused: HeldCredentials): Promise<boolean> {
  return (await credentials.renew(refused)).generation !== refused.generation
}

interface ScopedSigner {
  readonly scope: ResolvedScope
  readonly sign: SignRequest
}

/** The signer, known at once unless a profile has to be read for its region; a failure is not kept. */
function scopedSigner(server: URL, options: SigV4Options, env: Environment): () => ScopedSigner | Promise<ScopedSigner> {
  const sources = { server, region: options.region, service: options.service, profile: profileRegion(options.credentials, env), env }
  let ready: ScopedSigner | undefined
  let pending: Promise<ScopedSigner> | undefined

  function made(scope: ResolvedScope): ScopedSigner {
    ready = { scope, sign: requestSigner(scope) }
    return ready
  }

  resolveService(sources)
  const first = sources.profile && options.region === undefined ? undefined : resolveScope(sources)
  if (first !== undefined && !(first instanceof Promise)) made(first)

  return () => {
    if (ready) return ready
    pending ??= Promise.resolve(resolveScope(sources))
      .then(made)
      .finally(() => {
        pending = undefined
      })
    return pending
  }
}

function profileRegion(credentials: AwsCredentialsOption, env: Environment): ProfileRegion | undefined {
  const chosen = typeof credentials === 'object' ? credentials.profile : credentials === 'chain' ? env.AWS_PROFILE : undefined
  if (chosen === undefined && credentials !== 'chain') return undefined
  const name = chosen || 'default'
  return {
    place: `the profile ${name} of ${awsFileNames(env)}`,
    named: Boolean(chosen),
    read: async () => (await readProfile(name, env)).region
  }
}

interface CorrectedClock {
  /** The service's time, as far as it is known. */
  now(): number
  /** Measures against an answer. False: the answer's date is not what was refused, or there is none. */
  correct(answer: AnswerHead, signedAtMs: number): boolean
}

function correctedClock(now: () => number): CorrectedClock {
  let offsetMs = 0
  return {
    now: () => now() + offsetMs,
    correct({ headers }, signedAtMs) {
      const date = Date.parse(String(headers.date))
      // Compared with the date under the signature and not with our clock: a machine that slept between signing and sending has a clock that is right.
      if (Number.isNaN(date) || Math.abs(date - signedAtMs) < skewToleranceMs) return false
      offsetMs = date - now()
      return true
    }
  }
}

/** undici adds `query` to the path only when it sends, so it is added here, in undici's own way, and what is signed is what is sent. */
function withWholePath(request: DispatchOptions): DispatchOptions {
  // Both at once: undici refuses it.
  if (!request.query || /[?#]/.test(request.path)) return request
  const { query, ...rest } = request
  const text = stringify(query as Parameters<typeof stringify>[0])
  return text === '' ? rest : { ...rest, path: `${rest.path}?${text}` }
}

/** A session token of the caller's beside keys that have none would be taken for theirs. With a token of our own it is replaced. */
function withoutForeignToken(request: DispatchOptions, { sessionToken }: AwsCredentials): DispatchOptions {
  if (sessionToken !== undefined || headerValue(request.headers, 'x-amz-security-token') === undefined) return request
  const headers = headerPairs(request.headers).filter(([name]) => name.toLowerCase() !== 'x-amz-security-token')
  return { ...request, headers: headers.flat() }
}

/** undici sends the origin's host unless the request names another. */
function withHost(headers: HeaderPairs, server: URL): HeaderPairs {
  return headers.some(([name]) => name.length === 4 && name.toLowerCase() === 'host') ? headers : [...headers, ['host', server.host]]
}

function checked(options: SigV4Options): SigV4Options {
  if (typeof options !== 'object' || options === null) throw invalidOption('credentials', 'is missing', "pass { credentials: 'env' }, say")
  for (const name of ['region', 'service'] as const) {
    if (options[name] !== undefined && !isScopeName(options[name])) throw invalidOption(name, `is not the name of a ${name}`)
  }
  const { streams, maxBodyBytes } = options
  if (streams !== undefined && streams !== 'buffer' && streams !== 'unsigned')
    throw invalidOption('streams', "is neither 'buffer' nor 'unsigned'")
  if (maxBodyBytes !== undefined && !(Number.isSafeInteger(maxBodyBytes) && maxBodyBytes > 0)) {
    throw invalidOption('maxBodyBytes', 'is not a number of bytes, 1 or more')
  }
  return options
}
