import { isIP } from 'node:net'
import {
  bindTo,
  checkVariableName,
  type Dispatch,
  describeLayer,
  type Environment,
  headerValue,
  type Interceptor,
  invalidOption,
  parseServerUrl,
  type ReplayPolicy,
  type Road,
  replaying,
  type ServerBinding
} from '@mcpauth/core'
import { type Connections, openConnections } from './connections.ts'
import { openPem, type PemSource } from './pem-source.ts'
import { explainRefusedCertificate } from './tls-failure.ts'
import { checkMinVersion, type TlsSources } from './tls-material.ts'

/** Options of {@link withMtls}. At least one of `cert` with `key`, `ca`, `minVersion` and `serverName` is given. */
export interface MtlsOptions {
  /** The client certificate, followed by its issuers where the server needs them. */
  cert?: PemSource
  /** Its private key. It may be in the same file as the certificate. */
  key?: PemSource
  /** The variable that holds the passphrase of an encrypted key. */
  passphrase?: { readonly env: string }
  /** Authorities whose servers are trusted. */
  ca?: PemSource | readonly PemSource[]
  /** `add`: beside those that node trusts. `replace`: these alone. @default 'add' */
  caMode?: 'add' | 'replace'
  /** The oldest version of TLS that is spoken. @default 'TLSv1.2' */
  minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** The name the server is asked for and checked against, when its certificate is not for the host name of its URL. */
  serverName?: string
  /** Other origins that see the certificate too, as an authorization server does that binds tokens to it (RFC 8705). */
  also?: ReadonlyArray<string | URL>
  /** Where `{ env }`, `HTTPS_PROXY` and `NO_PROXY` look. @default process.env */
  env?: Environment
  /** Milliseconds since the epoch. @default Date.now */
  now?: () => number
}

/** The layer, which closes its connections when it is disposed of, or when the last `authFetch` it serves is. */
export type MtlsLayer = Interceptor & AsyncDisposable

/**
 * Sends requests to one MCP server through connections of its own, with a client certificate, other authorities, or both.
 * Everything else goes on untouched, and sees no certificate.
 *
 * The binding is the server's origin and not its path: a certificate is shown in the handshake, before there is a path. It ends the road, so it is
 * listed last, and the dispatcher behind it does not serve its origins; `HTTPS_PROXY` and `NO_PROXY` are respected. Files are looked at with every request: when
 * one has changed, new connections use the new certificate, and requests on the old ones run to their end. One that cannot be used leaves the former in
 * use, with the event `mcpauth:key:warning`.
 *
 * @param server The MCP server's URL, https.
 * @throws `MCPAUTH_INVALID_OPTION`, and `MCPAUTH_CERTIFICATE_INVALID` or `MCPAUTH_CREDENTIAL_MISSING` at construction: an unreadable file, a certificate without a
 *   key, a key that does not fit, an expired or not yet valid certificate. On a request: `MCPAUTH_TLS` a handshake that failed, with what to do about it.
 * @see RFC 8446 §4.3.2, RFC 8705
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withMtls } from '@mcpauth/mtls'
 *
 * const url = 'https://mcp.example.com/mcp'
 * export const fetch = authFetch(withMtls(url, { cert: { file: 'client.pem' }, key: { file: 'client-key.pem' } }))
 * ```
 */
export function withMtls(server: string | URL, options: MtlsOptions): MtlsLayer {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'is not an object', 'give cert and key, or ca')
  const url = secureUrl('server', server)
  const origins = new Set([url.origin, ...(options.also ?? []).map((other) => secureUrl('also', other).origin)])
  const connections = openConnections(sourcesOf(options), url.origin, checkedServerName(options.serverName))
  const users = closeAfterLast(connections)

  const interceptor = describeLayer(
    (dispatch, road) => {
      users.add(road)
      // The network end, for authorization servers, has no road: there, a refresh that may have arrived must not look like one that did not.
      const ends = [...origins].map((origin) => endOf(origin, connections, road !== undefined))
      return (request, handler) => {
        const end = ends.find(({ binding }) => binding.covers(request))
        return end ? replaying(end.dispatch, request, handler, end.policy, road) : dispatch(request, handler)
      }
    },
    { kind: 'connection', server: url, sets: [] }
  )
  return Object.assign(interceptor, { [Symbol.asyncDispose]: () => connections.close() })
}

/** Where the road ends for one origin. */
interface RoadEnd {
  readonly binding: ServerBinding
  readonly dispatch: Dispatch
  readonly policy: ReplayPolicy<undefined>
}

function endOf(origin: string, connections: Connections, guessAtCuts: boolean): RoadEnd {
  return {
    binding: bindTo(origin, { bind: 'origin' }),
    dispatch: connections.dispatchTo(origin, guessAtCuts),
    policy: connectionPolicy(connections, origin)
  }
}

/** Waits for undici before the first request, and reads the page with which nginx asks for a certificate. */
function connectionPolicy(connections: Connections, origin: string): ReplayPolicy<undefined> {
  return {
    prepare(original) {
      const prepared = { options: original, sent: undefined }
      return connections.ready()?.then(() => prepared) ?? prepared
    },
    inspect: ({ status, headers }) => status === 400 && headerValue(headers, 'content-type')?.startsWith('text/html') === true,
    async recover({ body }) {
      const refused = explainRefusedCertificate(origin, body)
      if (refused) throw refused
      return 'pass'
    }
  }
}

/** A layer may stand on several roads; its connections are closed with the last one. */
function closeAfterLast(connections: Connections): { add(road: Road | undefined): void } {
  const open = new Set<AbortSignal>()
  return {
    add(road) {
      if (!road || open.has(road.closed)) return
      open.add(road.closed)
      const left = (): void => {
        open.delete(road.closed)
        if (open.size === 0) void connections.close()
      }
      road.closed.addEventListener('abort', left, { once: true })
    }
  }
}

function secureUrl(option: string, server: string | URL): URL {
  if (!URL.canParse(String(server))) throw invalidOption(option, 'is not an absolute URL', 'as in https://mcp.example.com/mcp')
  const url = parseServerUrl(server, { dangerouslyAllowHttp: true })
  if (url.protocol !== 'https:') throw invalidOption(option, 'is not https, so there is no TLS', 'use the https URL')
  return url
}

function sourcesOf(options: MtlsOptions): TlsSources {
  // biome-ignore lint/style/noProcessEnv: the one place where this package takes the environment, and only as a default.
  const { cert, key, passphrase, ca, caMode = 'add', minVersion = 'TLSv1.2', env = process.env, now = Date.now } = options
  if (!cert && !key && !ca && !options.minVersion && !options.serverName) {
    throw invalidOption('options', 'say nothing about the connection', 'give cert and key, or ca')
  }
  if (cert && !key)
    throw invalidOption('key', 'is missing', 'a certificate is of no use without its private key; it may be in the same file')
  if (key && !cert) throw invalidOption('cert', 'is missing', 'give the certificate that belongs to the key')
  if (caMode !== 'add' && caMode !== 'replace') throw invalidOption('caMode', "is neither 'add' nor 'replace'")
  if (caMode === 'replace' && !ca)
    throw invalidOption('caMode', "is 'replace', and there is no ca", 'give the authorities that are trusted')
  checkMinVersion(minVersion)
  if (passphrase) checkVariableName('passphrase.env', passphrase.env)
  const authorities = ca === undefined ? [] : Array.isArray(ca) ? ca : [ca as PemSource]
  return {
    cert: cert && openPem('cert', cert, env),
    key: key && openPem('key', key, env),
    passphraseVariable: passphrase?.env,
    ca: authorities.map((source: PemSource) => openPem('ca', source, env)),
    caMode,
    minVersion,
    environment: env,
    now
  }
}

function checkedServerName(serverName: unknown): string | undefined {
  if (serverName === undefined) return undefined
  if (typeof serverName === 'string' && /^[A-Za-z0-9_.-]{1,253}$/.test(serverName) && isIP(serverName) === 0) return serverName
  throw invalidOption('serverName', 'is not a host name', 'give the name in the certificate, not an address')
}
