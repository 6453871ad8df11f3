import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator
} from '@peculiar/x509'

/** A certificate and its private key, as PEM. */
export interface IssuedCertificate {
  cert: string
  key: string
}

/** What a certificate says. */
export interface CertificateRequest {
  commonName: string
  /** DNS names and IP addresses of a server. */
  hosts?: string[]
  notBefore?: Date
  notAfter?: Date
  /** Of the certificate's key. @default ECDSA on P-256 */
  keyAlgorithm?: webcrypto.RsaHashedKeyGenParams
}

/** A certification authority of a test. */
export interface Authority {
  /** Its own certificate, as PEM. */
  cert: string
  issue(request: CertificateRequest): Promise<IssuedCertificate>
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 86_400_000

/** Makes an authority with a fresh key. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await generateKeys()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
    ]
  })
  return { cert: certificate.toString('pem'), issue: (request) => issue(certificate, keys.privateKey, request) }
}

async function issue(issuer: X509Certificate, signingKey: webcrypto.CryptoKey, request: CertificateRequest): Promise<IssuedCertificate> {
  const keys = await generateKeys(request.keyAlgorithm)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${request.commonName}`,
    issuer: issuer.subject,
    notBefore: request.notBefore ?? new Date(Date.now() - day),
    notAfter: request.notAfter ?? new Date(Date.now() + day),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      ...(request.hosts ? [new SubjectAlternativeNameExtension(request.hosts.map(alternativeName))] : [])
    ]
  })
  return { cert: certificate.toString('pem'), key: await privateKeyPem(keys.privateKey) }
}

function alternativeName(host: string): { type: 'dns' | 'ip'; value: string } {
  return { type: /^[\d.]+$|:/.test(host) ? 'ip' : 'dns', value: host }
}

function generateKeys(
  keyAlgorithm: webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams = algorithm
): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}

function serialNumber(): string {
  return `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}`
}
