import { McpAuthError, safeText } from '@mcpauth/core'

interface Failure {
  readonly codes: RegExp
  readonly fact: string
  readonly hint: string
}

/** What goes wrong in a handshake, by the codes of node and OpenSSL. The first that matches counts. */
const failures: readonly Failure[] = [
  {
    codes: /^(UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE|INVALID_CA|CERT_CHAIN_TOO_LONG)/,
    fact: "the server's certificate comes from an authority that is not trusted here",
    hint: "give the authority's certificate: ca: { file: 'path.pem' }"
  },
  {
    codes: /^(ERR_TLS_CERT_ALTNAME|HOSTNAME_MISMATCH)/,
    fact: "the server's certificate is for another host name",
    hint: 'use the name that is in the certificate in the URL, or give it as serverName'
  },
  {
    codes: /^CERT_HAS_EXPIRED$/,
    fact: "the server's certificate has expired",
    hint: "its operator must renew it; if it is new, set this machine's clock"
  },
  { codes: /^CERT_NOT_YET_VALID$/, fact: "the server's certificate is not valid yet", hint: "set this machine's clock" },
  { codes: /^CERT_/, fact: "the server's certificate cannot be accepted", hint: 'ask its operator' },
  {
    codes: /^ERR_SSL_.*CERTIFICATE_REQUIRED/,
    fact: 'the server demands a client certificate',
    hint: 'give one: cert and key'
  },
  {
    codes: /^ERR_SSL_.*ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/,
    fact: 'the server refused the client certificate',
    hint: 'check who issued it and how long it is valid; the server must trust its issuer'
  },
  {
    codes: /^ERR_SSL_.*(PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|INSUFFICIENT_SECURITY|NO_PROTOCOLS_AVAILABLE)/,
    fact: 'the server and this client have no TLS version in common',
    hint: 'lower minVersion, or ask the operator for a newer TLS'
  },
  {
    codes: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)/,
    fact: 'the server does not speak TLS on this port',
    hint: 'check the port of the URL'
  },
  {
    codes: /^(ERR_SSL_|EPROTO$|ERR_TLS_)/,
    fact: 'the TLS handshake failed',
    hint: 'the server may demand a client certificate or another TLS version; ask its operator'
  }
]

/** What is known of the connections to the origin that failed. */
export interface ConnectionState {
  readonly origin: string
  /** The server has not answered yet, and nobody needs to tell a request that was never sent from one that may have arrived. */
  readonly guessAtCuts: boolean
  /** Whether a client certificate is shown. */
  readonly certificate: boolean
}

/** A failed handshake as our error; any other error as it is. */
export function explainTlsFailure(state: ConnectionState, error: Error): Error {
  const code = (error as NodeJS.ErrnoException).code
  if (typeof code !== 'string' || McpAuthError.is(error)) return error
  const failure = failures.find(({ codes }) => codes.test(code)) ?? cutOff(code, state)
  if (!failure) return error
  // The original has the peer's certificate and the connection's options in its properties.
  const cause = Object.assign(new Error(safeText(error.message)), { code })
  return new McpAuthError('MCPAUTH_TLS', `${state.origin}: ${failure.fact} (${code})`, { hint: failure.hint, cause })
}

/**
 * With TLS 1.3 the client is done before the server looks at its certificate, and node's own server then closes without a word. So a connection that is cut before
 * the server ever answered is taken for that, in words that leave it open; once it has answered, a cut connection is just that.
 */
function cutOff(code: string, { guessAtCuts, certificate }: ConnectionState): Omit<Failure, 'codes'> | undefined {
  if (!guessAtCuts || (code !== 'UND_ERR_SOCKET' && code !== 'ECONNRESET')) return undefined
  const fact = 'the server closed the connection before it ever answered'
  return certificate
    ? {
        fact: `${fact}; it may not accept the client certificate`,
        hint: 'check who issued it and how long it is valid; the server must trust its issuer'
      }
    : { fact: `${fact}; it may demand a client certificate`, hint: 'give one: cert and key' }
}

/** How nginx, and what is built on it, says that it wants a client certificate: as a page. */
const nginxDemands = [
  { text: 'No required SSL certificate was sent', fact: 'the server demands a client certificate', hint: 'give one: cert and key' },
  {
    text: 'The SSL certificate error',
    fact: 'the server refused the client certificate',
    hint: 'check who issued it and how long it is valid; the server must trust its issuer'
  }
]

/** The error behind an answer that is about the client certificate; undefined for any other answer. */
export function explainRefusedCertificate(origin: string, body: Uint8Array): McpAuthError | undefined {
  const page = new TextDecoder().decode(body)
  const demand = nginxDemands.find(({ text }) => page.includes(text))
  return demand && new McpAuthError('MCPAUTH_TLS', `${origin}: ${demand.fact}`, { hint: demand.hint })
}
