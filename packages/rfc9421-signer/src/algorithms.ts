import { constants, createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'

/** The signature algorithms of RFC 9421 §3.3, by their registered names. */
export type SignatureAlgorithm =
  | 'ed25519'
  | 'rsa-pss-sha512'
  | 'rsa-v1_5-sha256'
  | 'ecdsa-p256-sha256'
  | 'ecdsa-p384-sha384'
  | 'hmac-sha256'

/** Makes the signature of one signature base. */
export type Sign = (base: Uint8Array) => Buffer

/** Says whether a signature belongs to one signature base. */
export type Verify = (base: Uint8Array, signature: Uint8Array) => boolean

interface Algorithm {
  /** Why this key cannot be used; undefined when it can. */
  faultOf(key: KeyObject): string | undefined
  /** Everything that does not change from request to request happens here, once. */
  signer(key: KeyObject): Sign
  verifier(key: KeyObject): Verify
  /** The names that a JWK's `alg` may give it, beside its own. */
  readonly jose: readonly string[]
}

const minimumRsaBits = 2048
const minimumSecretBytes = 32
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }

/** Every algorithm this package knows. Nothing below switches on names. */
export const algorithms: Readonly<Record<SignatureAlgorithm, Algorithm>> = {
  ed25519: {
    faultOf: (key) => (key.asymmetricKeyType === 'ed25519' ? undefined : 'it takes an Ed25519 key'),
    signer: (key) => (base) => sign(null, base, key),
    verifier: (key) => (base, signature) => verify(null, base, key, signature),
    jose: ['EdDSA', 'Ed25519']
  },
  'rsa-pss-sha512': {
    faultOf: (key) => rsaFault(key, ['rsa', 'rsa-pss']) ?? pssFault(key),
    ...asymmetric(
      'sha512',
      (key) => ({ key, ...pss }),
      // RFC 9421 §3.3.1 says 64 bytes of salt; http-message-signatures, in wide use, takes as many as fit. The salt's length proves nothing either way.
      (key) => ({ key, ...pss, saltLength: constants.RSA_PSS_SALTLEN_AUTO })
    ),
    jose: ['PS512']
  },
  'rsa-v1_5-sha256': {
    faultOf: (key) => rsaFault(key, ['rsa']),
    ...asymmetric('sha256', (key) => ({ key, padding: constants.RSA_PKCS1_PADDING })),
    jose: ['RS256']
  },
  'ecdsa-p256-sha256': {
    faultOf: (key) => curveFault(key, 'prime256v1', 'P-256'),
    ...asymmetric('sha256', (key) => ({ key, dsaEncoding: 'ieee-p1363' })),
    jose: ['ES256']
  },
  'ecdsa-p384-sha384': {
    faultOf: (key) => curveFault(key, 'secp384r1', 'P-384'),
    ...asymmetric('sha384', (key) => ({ key, dsaEncoding: 'ieee-p1363' })),
    jose: ['ES384']
  },
  'hmac-sha256': {
    faultOf: secretFault,
    signer: mac,
    verifier(key) {
      const expected = mac(key)
      return (base, signature) => signature.byteLength === 32 && timingSafeEqual(expected(base), signature)
    },
    jose: ['HS256']
  }
}

/** Whether a name is one of {@link algorithms}. */
export function isSignatureAlgorithm(name: unknown): name is SignatureAlgorithm {
  return typeof name === 'string' && Object.hasOwn(algorithms, name)
}

/** The algorithm that a name stands for, in the words of RFC 9421 or of JOSE. */
export function algorithmNamed(name: unknown): SignatureAlgorithm | undefined {
  if (isSignatureAlgorithm(name)) return name
  return algorithmNames.find((candidate) => algorithms[candidate].jose.includes(name as string))
}

/** The algorithm for a key that says nothing else: Ed25519, RSA-PSS for RSA, the curve's own for EC, HMAC for a secret. */
export function algorithmFor(key: KeyObject): SignatureAlgorithm | undefined {
  return algorithmNames.find((name) => fits(algorithms[name], key))
}

const algorithmNames = Object.keys(algorithms) as SignatureAlgorithm[]

/** The right kind of key, be it too short. */
function fits(algorithm: Algorithm, key: KeyObject): boolean {
  const fault = algorithm.faultOf(key)
  return fault === undefined || fault.startsWith('it is')
}

type KeyInput = Parameters<typeof verify>[2] & Parameters<typeof sign>[2] & object

function asymmetric(
  digest: string,
  inputFor: (key: KeyObject) => KeyInput,
  verifyInputFor: (key: KeyObject) => KeyInput = inputFor
): Pick<Algorithm, 'signer' | 'verifier'> {
  return {
    signer(key) {
      const input = inputFor(key)
      return (base) => sign(digest, base, input)
    },
    verifier(key) {
      const input = verifyInputFor(key)
      return (base, signature) => verify(digest, base, input, signature)
    }
  }
}

function mac(key: KeyObject): Sign {
  return (base) => createHmac('sha256', key).update(base).digest()
}

function rsaFault(key: KeyObject, types: readonly string[]): string | undefined {
  if (!types.includes(key.asymmetricKeyType ?? '')) return 'it takes an RSA key'
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  return bits < minimumRsaBits ? `it is an RSA key of ${bits} bits, and ${minimumRsaBits} are the least` : undefined
}

/** A key of type rsa-pss may be restricted to another hash or a longer salt. */
function pssFault(key: KeyObject): string | undefined {
  const { hashAlgorithm, saltLength } = key.asymmetricKeyDetails ?? {}
  const restricted =
    (hashAlgorithm !== undefined && hashAlgorithm !== 'sha512') || (saltLength !== undefined && saltLength > pss.saltLength)
  return restricted ? 'it is an RSA-PSS key that is restricted to other parameters' : undefined
}

function curveFault(key: KeyObject, curve: string, name: string): string | undefined {
  const fits = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === curve
  return fits ? undefined : `it takes an EC key on the curve ${name}`
}

function secretFault(key: KeyObject): string | undefined {
  if (key.type !== 'secret') return 'it takes a shared secret'
  const bytes = key.symmetricKeySize ?? 0
  return bytes < minimumSecretBytes ? `it is a secret of ${bytes} bytes, and ${minimumSecretBytes} are the least` : undefined
}
