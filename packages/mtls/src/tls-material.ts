import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { type Environment, invalidOption, readVariable, secrets, warnOfReadableKey } from '@mcpauth/core'
import { certificateInvalid } from './certificate-error.ts'
import { checkPrivateKey, checkValidity, type PemText, parseCertificates } from './certificates.ts'
import type { OpenPem } from './pem-source.ts'

/** What a TLS connection is made of, as sources. */
export interface TlsSources {
  readonly cert: OpenPem | undefined
  readonly key: OpenPem | undefined
  /** The name of the variable that opens the key. */
  readonly passphraseVariable: string | undefined
  readonly ca: readonly OpenPem[]
  readonly caMode: 'add' | 'replace'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly environment: Environment
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Changes whenever one of the sources has changed. */
export function identityOf({ cert, key, ca, passphraseVariable, environment }: TlsSources): string {
  const parts = [cert, key, ...ca].map((source) => source?.identity() ?? '')
  return [...parts, passphraseVariable ? environment[passphraseVariable] : ''].join('\n')
}

/**
 * Reads and checks everything, and makes the context of all connections of it: parsing the authorities for each would cost milliseconds.
 *
 * @throws `MCPAUTH_CERTIFICATE_INVALID` naming the file or variable and what is wrong, never its content.
 */
export function loadTlsMaterial(sources: TlsSources): SecureContext {
  const { minVersion } = sources
  const identity = loadIdentity(sources)
  const ca = loadAuthorities(sources)
  try {
    return createSecureContext({ minVersion, ...identity, ...(ca ? { ca } : {}) })
  } catch (error) {
    // OpenSSL's own judgement, as of a key that is too short; its code quotes nothing.
    const origin = sources.cert?.origin ?? 'the CA bundle'
    throw certificateInvalid(
      origin,
      `is refused by OpenSSL (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
      'ask for a new certificate'
    )
  }
}

interface ClientIdentity {
  cert?: string
  key?: string
  passphrase?: string
}

function loadIdentity({ cert, key, passphraseVariable, environment, now }: TlsSources): ClientIdentity {
  if (!cert || !key) return {}
  const certText = textOf(cert)
  // One file may hold both, as many tools write it.
  const keyText = textOf(key)
  secrets.add(keyText.text, 'private key')
  if (key.file !== undefined) warnOfReadableKey(key.file)
  const passphrase = passphraseVariable === undefined ? undefined : readVariable(passphraseVariable, environment)
  if (passphrase !== undefined) secrets.add(passphrase, 'passphrase')

  const chain = parseCertificates(certText)
  checkPrivateKey(keyText, passphrase, chain, certText.origin)
  checkValidity(chain[0]!, certText.origin, now())
  return { cert: certText.text, key: keyText.text, ...(passphrase === undefined ? {} : { passphrase }) }
}

/** undefined: node's own, which is parsed once for the whole process. */
function loadAuthorities({ ca, caMode }: TlsSources): string[] | undefined {
  if (ca.length === 0) return undefined
  const own = ca.map((source) => {
    const text = textOf(source)
    parseCertificates(text)
    return text.text
  })
  return caMode === 'add' ? [...getCACertificates('default'), ...own] : own
}

function textOf(source: OpenPem): PemText {
  return { origin: source.origin, text: source.read() }
}

/** Checked at construction, before any file is read. */
export function checkMinVersion(minVersion: unknown): asserts minVersion is 'TLSv1.2' | 'TLSv1.3' {
  if (minVersion !== 'TLSv1.2' && minVersion !== 'TLSv1.3') throw invalidOption('minVersion', "is neither 'TLSv1.2' nor 'TLSv1.3'")
}
