import {
  bindTo,
  type Dispatch,
  type DispatchHandler,
  type DispatchOptions,
  describeLayer,
  type Interceptor,
  invalidOption,
  knownBytes,
  McpAuthError,
  type Prepared,
  type ReplayPolicy,
  type Road,
  readBytes,
  replaying,
  withBody,
  withHeaderValues
} from '@mcpauth/core'
import { checkContentDigest, contentDigest, type DigestAlgorithm, isDigestAlgorithm } from './content-digest.ts'
import { fieldsOf, normalAuthority, type RequestMessage, withQueryInPath } from './http-message.ts'
import type { MessageSigner } from './message-signer.ts'
import { type CoveredComponent, coverable } from './signature-base.ts'
import { signatureInvalid } from './signature-error.ts'
import { parseComponent } from './signature-params.ts'
import { parseFieldDictionary } from './structured-fields.ts'

/** What a signing layer takes, whatever it signs. */
export interface SigningLayerOptions {
  /** A body that must be read before it can be digested is read up to here. @default 10 MiB */
  readonly maxBodyBytes?: number
  /** How far the layer's binding reaches. @default 'path' */
  readonly bind?: 'path' | 'origin'
  /** Lets signed requests travel in clear text to a host that is not this machine. */
  readonly dangerouslyAllowHttp?: boolean
}

/** What a layer signs with. */
export interface SigningPlan {
  readonly signers: readonly MessageSigner[]
  /** Made for every request with a body, and covered. */
  readonly digests: readonly DigestAlgorithm[]
  /** Members of `Signature-Agent`, by label; a text alone is the whole field. */
  readonly agent?: ReadonlyMap<string, string> | string | undefined
}

const defaultMaxBodyBytes = 10 * 1024 * 1024

/** Checks the `contentDigest` option. */
export function digestsFrom(option: unknown, fallback: readonly DigestAlgorithm[]): readonly DigestAlgorithm[] {
  if (option === undefined) return fallback
  if (option === false) return []
  const digests = [option].flat()
  if (digests.length === 0 || !digests.every(isDigestAlgorithm) || new Set(digests).size !== digests.length) {
    throw invalidOption('contentDigest', "is none of 'sha-256', 'sha-512', a list of them, or false")
  }
  return digests
}

/** The layer behind withSignature and withWebBotAuth. Every send is signed anew, so that a replay carries its own time and nonce. */
export function signingLayer(server: string | URL, plan: SigningPlan, options: SigningLayerOptions): Interceptor {
  const { maxBodyBytes = defaultMaxBodyBytes, bind, dangerouslyAllowHttp = false } = options
  if (!(Number.isSafeInteger(maxBodyBytes) && maxBodyBytes >= 0)) throw invalidOption('maxBodyBytes', 'is not a whole number of bytes')
  const { server: url } = bindTo(server, { bind: bind ?? 'path', dangerouslyAllowHttp })
  const signRequest = requestSigner(url, plan)
  const needsBytes = plan.digests.length > 0 || plan.signers.some((signer) => covers(signer, 'content-length'))

  function layer(dispatch: Dispatch, road?: Road): Dispatch {
    const binding = bindTo(server, { bind: bind ?? road?.bind ?? 'path', dangerouslyAllowHttp })
    return (options, handler) => {
      if (!binding.covers(options)) return dispatch(options, handler)
      const bytes = needsBytes ? knownBytes(options.body) : nothing
      if (bytes === undefined) return replaying(dispatch, options, handler, afterReading(signRequest, maxBodyBytes), road)
      const signed = attempt(() => signRequest(options, bytes))
      return signed instanceof McpAuthError ? refuse(dispatch, options, handler, signed, road) : dispatch(signed, handler)
    }
  }
  return describeLayer(layer, { kind: 'signature', server: url, sets: headersSet(plan) })
}

const nothing = new Uint8Array(0)

/** `authFetch` objects to two layers that set the same name. Two signatures share their headers as long as their labels differ. */
function headersSet({ signers, agent }: SigningPlan): string[] {
  const labels = signers.map(({ label }) => label)
  const agents =
    typeof agent === 'string' ? ['signature-agent'] : [...(agent?.keys() ?? [])].map((label) => `signature-agent;label=${label}`)
  return [...labels.map((label) => `signature;label=${label}`), ...labels.map((label) => `signature-input;label=${label}`), ...agents]
}

function attempt<T>(work: () => T): T | McpAuthError {
  try {
    return work()
  } catch (error) {
    if (McpAuthError.is(error)) return error
    throw error
  }
}

/** What goes wrong on the road reaches the handler, never the caller of `dispatch`. */
function refuse(dispatch: Dispatch, options: DispatchOptions, handler: DispatchHandler, error: McpAuthError, road?: Road): boolean {
  return replaying(dispatch, options, handler, { ...sendOnce, prepare: () => Promise.reject(error) }, road)
}

const sendOnce: Pick<ReplayPolicy<undefined>, 'inspect' | 'recover'> = {
  inspect: () => false,
  recover: async () => 'pass'
}

type SignRequest = (options: DispatchOptions, bytes: Uint8Array) => DispatchOptions

/** A body that is a stream is read to its end first: its digest is in a header, and headers go out before it. */
function afterReading(signRequest: SignRequest, maxBodyBytes: number): ReplayPolicy<undefined> {
  async function prepare(original: DispatchOptions): Promise<Prepared<undefined>> {
    const bytes = await readBytes(original.body, maxBodyBytes)
    return { options: signRequest(withBody(original, bytes), bytes), sent: undefined }
  }
  return { ...sendOnce, prepare }
}

function requestSigner(server: URL, plan: SigningPlan): SignRequest {
  const { signers, digests, agent } = plan
  const scheme = server.protocol.slice(0, -1)
  const digest = coverable(parseComponent('content-digest', signatureInvalid), undefined, signatureInvalid)
  const alwaysDigest = signers.some(({ components }) => components.some(({ name }) => name === 'content-digest'))
  const needsLength = signers.some((signer) => covers(signer, 'content-length'))

  return (original, bytes) => {
    let options = withQueryInPath(original)
    const added: Record<string, string> = {}
    const given = fieldsOf(options.headers)
    const digested = digests.length > 0 && (alwaysDigest || bytes.byteLength > 0)
    if (digested) addDigest(added, given('content-digest'), bytes, digests)
    if (needsLength && !given('content-length')) addLength(added, options, bytes)
    if (agent !== undefined) addAgent(added, given('signature-agent'), agent)
    const message: RequestMessage = {
      kind: 'request',
      method: options.method,
      scheme,
      authority: authorityOf(given('host'), server, scheme),
      target: options.path,
      fields: (name) => (added[name] === undefined ? (given(name) ?? impliedHost(name, server)) : [added[name]])
    }
    for (const signer of signers) addSignature(added, given, signer, message, digested ? digest : undefined)
    options = withHeaderValues(options, added)
    return options
  }
}

/** undici writes the URL's authority unless the caller has a `Host` of its own; what is signed follows what is sent. */
function authorityOf(host: readonly string[] | undefined, server: URL, scheme: string): string {
  if (host === undefined) return server.host
  const authority = normalAuthority(host[0] as string, scheme)
  if (authority === undefined || host.length > 1) throw signatureInvalid('host: is not an authority')
  return authority
}

function impliedHost(name: string, server: URL): readonly string[] | undefined {
  return name === 'host' ? [server.host] : undefined
}

function covers({ components, ifPresent }: MessageSigner, field: string): boolean {
  return [...components, ...ifPresent].some(({ name }) => name === field)
}

/** A digest that is there already stays as it is, since another signature may cover it; it must fit. */
function addDigest(
  added: Record<string, string>,
  present: readonly string[] | undefined,
  bytes: Uint8Array,
  digests: readonly DigestAlgorithm[]
): void {
  if (present === undefined) added['content-digest'] = contentDigest(bytes, digests)
  else checkContentDigest(present.join(', '), bytes)
}

const methodsWithBody = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH'])

/** undici writes the length itself; it is set here, so that it can be covered. Without a body it writes one only for methods that are made for a body. */
function addLength(added: Record<string, string>, { method }: DispatchOptions, bytes: Uint8Array): void {
  if (bytes.byteLength > 0 || methodsWithBody.has(method)) added['content-length'] = String(bytes.byteLength)
}

function addAgent(
  added: Record<string, string>,
  present: readonly string[] | undefined,
  agent: ReadonlyMap<string, string> | string
): void {
  if (typeof agent === 'string') {
    if (present !== undefined && present.join(', ') !== agent) throw labelTaken('signature-agent: is set already')
    added['signature-agent'] = agent
    return
  }
  let field = present?.join(', ') ?? ''
  for (const [label, member] of agent) field = appended('signature-agent', field, label, member)
  added['signature-agent'] = field
}

function addSignature(
  added: Record<string, string>,
  given: RequestMessage['fields'],
  signer: MessageSigner,
  message: RequestMessage,
  digest: CoveredComponent | undefined
): void {
  const also = digest && !covers(signer, 'content-digest') ? digest : undefined
  const { input, signature } = signer.sign(message, also)
  const inputs = added['signature-input'] ?? given('signature-input')?.join(', ') ?? ''
  const signatures = added.signature ?? given('signature')?.join(', ') ?? ''
  added['signature-input'] = appended('signature-input', inputs, signer.label, input)
  added.signature = appended('signature', signatures, signer.label, signature)
}

/** Appends a member to a dictionary. What others have written stays as it is, letter for letter. */
function appended(name: string, field: string, label: string, member: string): string {
  if (field.trim() === '') return `${label}=${member}`
  if (parseFieldDictionary(name, field).has(label)) throw labelTaken(`${name}: the request has a member ${label} already`)
  return `${field}, ${label}=${member}`
}

function labelTaken(fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_LAYER_CONFLICT', fact, { hint: 'give each signature a label of its own' })
}
