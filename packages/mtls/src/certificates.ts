import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { certificateInvalid } from './certificate-error.ts'

const certificateBlock = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED )?CERTIFICATE-----/g
const privateKeyBlock = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/
const encryptedKey = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m

/** A PEM text and where it comes from. */
export interface PemText {
  readonly origin: string
  readonly text: string
}

/**
 * The certificates of a PEM text, in its order.
 *
 * @throws `MCPAUTH_CERTIFICATE_INVALID` none, or one that cannot be parsed.
 */
export function parseCertificates({ origin, text }: PemText): X509Certificate[] {
  const blocks = text.match(certificateBlock) ?? []
  if (blocks.length === 0) {
    const fact = privateKeyBlock.test(text) ? 'holds a private key and no certificate' : 'holds no certificate'
    throw certificateInvalid(origin, fact, "give PEM text with '-----BEGIN CERTIFICATE-----' in it")
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch {
      // What the parser throws is about its input; nothing of it is needed.
      throw certificateInvalid(origin, `holds a certificate (number ${index + 1}) that cannot be parsed`, 'copy the file again, whole')
    }
  })
}

/**
 * Checks that a client certificate is valid at this moment.
 *
 * @param nowMs Milliseconds since the epoch.
 * @throws `MCPAUTH_CERTIFICATE_INVALID`
 */
export function checkValidity(certificate: X509Certificate, origin: string, nowMs: number): void {
  const from = new Date(certificate.validFrom)
  const to = new Date(certificate.validTo)
  if (to.getTime() < nowMs) throw certificateInvalid(origin, `expired on ${dayOf(to)}`, 'ask for a new client certificate')
  if (from.getTime() > nowMs) {
    throw certificateInvalid(origin, `is not valid before ${dayOf(from)}`, "wait until then, or set this machine's clock")
  }
}

function dayOf(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`
}

/**
 * Checks a private key, and that it belongs to a certificate.
 *
 * @throws `MCPAUTH_CERTIFICATE_INVALID`
 */
export function checkPrivateKey(
  key: PemText,
  passphrase: string | undefined,
  chain: readonly X509Certificate[],
  chainOrigin: string
): void {
  const parsed = parsePrivateKey(key, passphrase)
  if (belongs(chain[0] as X509Certificate, parsed)) return
  if (chain.some((certificate) => belongs(certificate, parsed))) {
    throw certificateInvalid(
      chainOrigin,
      'does not begin with the certificate of its key',
      'put the client certificate first, its issuers after it'
    )
  }
  throw certificateInvalid(key.origin, `does not fit the certificate of ${chainOrigin}`, 'give the key that the certificate was issued for')
}

function parsePrivateKey({ origin, text }: PemText, passphrase: string | undefined): KeyObject {
  if (!privateKeyBlock.test(text)) throw certificateInvalid(origin, `holds ${whatIsThere(text)}`, 'give the private key as PEM')
  if (encryptedKey.test(text) && passphrase === undefined) {
    throw certificateInvalid(origin, 'is encrypted, and there is no passphrase', "name its variable: passphrase: { env: 'NAME' }")
  }
  try {
    return createPrivateKey(passphrase === undefined ? { key: text } : { key: text, passphrase })
  } catch {
    if (encryptedKey.test(text)) throw certificateInvalid(origin, 'does not open with the passphrase given', 'check the passphrase')
    throw certificateInvalid(origin, 'holds a private key that cannot be parsed', 'copy the file again, whole')
  }
}

function whatIsThere(text: string): string {
  if (text.includes('-----BEGIN PUBLIC KEY-----')) return 'a public key in the place of a private one'
  if (text.includes('-----BEGIN CERTIFICATE-----')) return 'a certificate and no private key'
  return 'no private key'
}

function belongs(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key)
  } catch {
    // Keys of different kinds cannot even be compared.
    return false
  }
}
