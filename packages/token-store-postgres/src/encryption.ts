import { createCipheriv, createDecipheriv, createHash, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { checkVariableName, invalidOption, McpAuthError, readVariable, secrets } from '@mcpauth/core'

/** Where an encryption key comes from: 32 bytes, as base64 or hexadecimal text, or as bytes from a function. */
export type EncryptionKeySource = { env: string } | { file: string } | (() => string | Uint8Array)

/** A record's bytes as they stand in the database. */
export interface SealedRecord {
  /** Which key sealed it; null: it is not encrypted. */
  readonly keyId: string | null
  readonly bytes: Buffer
}

/** Seals and opens records. */
export interface RecordCipher {
  seal(plain: Uint8Array, name: string): SealedRecord
  /** undefined: the bytes were changed, or belong to another row. */
  open(sealed: SealedRecord, name: string): Uint8Array | undefined
}

const algorithm = 'aes-256-gcm'
const nonceLength = 12
const tagLength = 16

/** Records in clear text, for those who said so. */
export const plaintext: RecordCipher = {
  seal: (plain) => ({ keyId: null, bytes: Buffer.from(plain) }),
  open: ({ keyId, bytes }) => {
    if (keyId !== null) throw unknownKey(keyId)
    return bytes
  }
}

/**
 * AES-256-GCM with a random nonce; the row's name is the associated data, so that no row can be put in another's place.
 *
 * @param sources The first seals; all of them open. To rotate, put the new key first and keep the old one behind it until every record was written once.
 * @param acceptPlaintext Opens what was written without a key, too.
 * @throws `MCPAUTH_INVALID_OPTION` a key that is not 32 bytes.
 * @throws `MCPAUTH_CREDENTIAL_MISSING` a variable or file without a key.
 */
export function recordCipher(
  sources: readonly EncryptionKeySource[],
  env: Readonly<Record<string, string | undefined>>,
  acceptPlaintext: boolean
): RecordCipher {
  const keys = sources.map((source) => readKey(source, env))
  const [sealing] = keys
  if (!sealing) throw invalidOption('encryptionKey', 'is an empty list')
  const byId = new Map(keys.map(({ id, key }) => [id, key]))

  function seal(plain: Uint8Array, name: string): SealedRecord {
    const { id, key } = sealing as NamedKey
    const nonce = randomBytes(nonceLength)
    const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(name))
    const body = Buffer.concat([cipher.update(plain), cipher.final()])
    return { keyId: id, bytes: Buffer.concat([nonce, cipher.getAuthTag(), body]) }
  }

  function open({ keyId, bytes }: SealedRecord, name: string): Uint8Array | undefined {
    // Whoever can write to the table could plant a record in clear text, and take the key out of the game.
    if (keyId === null && !acceptPlaintext) throw notEncrypted()
    // Sealed at its next write.
    if (keyId === null) return bytes
    const key = byId.get(keyId)
    if (!key) throw unknownKey(keyId)
    if (bytes.length < nonceLength + tagLength) return undefined
    const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceLength), { authTagLength: tagLength })
    decipher.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(nonceLength, nonceLength + tagLength))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(nonceLength + tagLength)), decipher.final()])
    } catch {
      return undefined
    }
  }

  return { seal, open }
}

interface NamedKey {
  readonly id: string
  readonly key: KeyObject
}

function readKey(source: EncryptionKeySource, env: Readonly<Record<string, string | undefined>>): NamedKey {
  const { value, from } = readSource(source, env)
  const bytes = typeof value === 'string' ? keyBytes(value.trim()) : value
  if (bytes?.byteLength !== 32) {
    throw invalidOption('encryptionKey', `${from} is not a key of 32 bytes in base64 or hexadecimal`, 'make one: openssl rand -base64 32')
  }
  for (const text of writingsOf(value, bytes)) secrets.add(text, 'encryption key')
  const key = createSecretKey(bytes)
  return { id: createHash('sha256').update('mcpauth key id').update(bytes).digest('hex').slice(0, 16), key }
}

/** A key that came as bytes, or in hexadecimal, is printed in base64 by somebody. */
function writingsOf(value: string | Uint8Array, bytes: Uint8Array): string[] {
  const base64 = Buffer.from(bytes).toString('base64')
  return typeof value === 'string' ? [value.trim(), base64] : [base64]
}

function readSource(
  source: EncryptionKeySource,
  env: Readonly<Record<string, string | undefined>>
): { value: string | Uint8Array; from: string } {
  if (typeof source === 'function') return { value: given(source), from: 'what the function returned' }
  const { env: variable, file } = (typeof source === 'object' && source !== null ? source : {}) as { env?: unknown; file?: unknown }
  if (variable !== undefined) {
    checkVariableName('encryptionKey.env', variable)
    return { value: readVariable(variable, env), from: `the environment variable ${variable}` }
  }
  if (typeof file !== 'string' || file === '') {
    throw invalidOption(
      'encryptionKey',
      "is neither { env: 'NAME' } nor { file: 'path' } nor a function",
      'a key is never written into code'
    )
  }
  try {
    return { value: readFileSync(file, 'utf8'), from: `the file ${file}` }
  } catch {
    throw missing(`the file ${file}`)
  }
}

function given(source: () => string | Uint8Array): string | Uint8Array {
  try {
    return source()
  } catch {
    // What it threw may hold what it had in its hands.
    throw missing('the function given as encryptionKey has thrown an error, and')
  }
}

function missing(from: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${from} holds no encryption key`, { hint: 'make one: openssl rand -base64 32' })
}

function keyBytes(text: string): Uint8Array | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64url') : undefined
}

function unknownKey(keyId: string): McpAuthError {
  // Whoever can write to the table can write anything there.
  const known = /^[0-9a-f]{16}$/.test(keyId)
  const sealed = `DELETE FROM mcpauth_records WHERE key_id = '${known ? keyId : '…'}'`
  return new McpAuthError(
    'MCPAUTH_STORE_UNAVAILABLE',
    `a record was encrypted with ${known ? `the key ${keyId}` : 'a key'}, which is not configured`,
    {
      hint: `add the old key behind the new one: encryptionKey: [{ env: NEW }, { env: OLD }]; if it is lost, its records are: ${sealed}, then log in again`
    }
  )
}

function notEncrypted(): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'a record is not encrypted, and an encryption key is configured', {
    hint: 'to take over records from before there was a key, pass dangerouslyStorePlaintext: true beside it until each was written once'
  })
}
