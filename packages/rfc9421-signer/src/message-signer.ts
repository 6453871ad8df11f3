import { randomFillSync } from 'node:crypto'
import { invalidOption } from '@mcpauth/core'
import { isValidKeyStr, serializeString } from 'structured-headers'
import type { HttpMessage } from './http-message.ts'
import { absent, baseLine, type CoveredComponent, coverable, lineWriter, signatureBase } from './signature-base.ts'
import { defaultParameters, parameterWriter, parseComponent, refuseRepeated, type SignatureParameter } from './signature-params.ts'
import type { SigningKey } from './signing-keys.ts'
import type { FieldType } from './structured-fields.ts'

/** What one signature is made of. */
export interface MessageSignatureOptions {
  readonly key: SigningKey
  readonly components: readonly string[]
  readonly componentsIfPresent?: readonly string[]
  readonly label: string
  readonly expiresInSeconds: number | false
  /** Serialised: {@link freshNonces} or {@link callersNonces}. */
  readonly nonce?: (() => string) | undefined
  readonly tag?: string | undefined
  readonly parameters?: readonly SignatureParameter[] | undefined
  readonly fieldTypes?: Readonly<Record<string, FieldType>> | undefined
  /** Milliseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** The members of `Signature-Input` and `Signature` for one message, without their labels. */
export interface SignatureMembers {
  readonly input: string
  readonly signature: string
}

/** Signs messages in one way. */
export interface MessageSigner {
  readonly label: string
  readonly key: SigningKey
  readonly components: readonly CoveredComponent[]
  readonly ifPresent: readonly CoveredComponent[]
  /** @param also Covered beside the configured ones, at the end. */
  sign(message: HttpMessage, also?: CoveredComponent): SignatureMembers
}

const longestLifetimeSeconds = 24 * 60 * 60

/** Checks the options of one signature and does everything that does not change from message to message. */
export function messageSigner(options: MessageSignatureOptions): MessageSigner {
  checkOptions(options)
  const { key, label, expiresInSeconds, nonce, tag, now = Date.now } = options
  const components = covered('components', options.components, options.fieldTypes)
  const ifPresent = covered('componentsIfPresent', options.componentsIfPresent ?? [], options.fieldTypes)
  refuseRepeated([...components, ...ifPresent], (fact) => invalidOption('components', fact))
  const write = parameterWriter(options.parameters ?? defaultParameters, { keyid: key.keyId, alg: key.algorithm, tag })
  const fixedList = components.map(({ text }) => text).join(' ')

  const required = components.map(lineWriter)
  const optional = ifPresent.map(lineWriter)

  function sign(message: HttpMessage, also?: CoveredComponent): SignatureMembers {
    let list = fixedList
    let lines = ''
    const add = (component: CoveredComponent, line: string): void => {
      lines += line
      list += list === '' ? component.text : ` ${component.text}`
    }
    for (const [index, line] of required.entries()) lines += line(message) ?? absent(components[index] as CoveredComponent)
    for (const [index, line] of optional.entries()) {
      const text = line(message)
      if (text !== undefined) add(ifPresent[index] as CoveredComponent, text)
    }
    if (also) add(also, baseLine(also, message))
    const created = Math.floor(now() / 1000)
    const expires = expiresInSeconds === false ? undefined : created + expiresInSeconds
    const input = `(${list})${write({ created, expires, nonce: nonce?.() })}`
    return { input, signature: `:${key.sign(signatureBase(lines, input)).toString('base64')}:` }
  }
  return { label, key, components, ifPresent, sign }
}

const poolBytes = 8192

/**
 * Fresh nonces, serialised. Random bytes are fetched many at a time, since a call for a few costs as much as one for many; each is used once.
 */
export function freshNonces(bytes: number, encoding: 'base64' | 'base64url'): () => string {
  const pool = Buffer.allocUnsafeSlow(poolBytes)
  let at = poolBytes
  return () => {
    if (at + bytes > poolBytes) {
      randomFillSync(pool)
      at = 0
    }
    at += bytes
    return `"${pool.toString(encoding, at - bytes, at)}"`
  }
}

/** A caller's own nonces, serialised. */
export function callersNonces(nonce: () => string): () => string {
  return () => {
    const value: unknown = nonce()
    if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value))
      throw invalidOption('nonce', 'made something other than printable ASCII characters')
    return serializeString(value)
  }
}

function covered(
  option: string,
  texts: readonly string[],
  fieldTypes: Readonly<Record<string, FieldType>> | undefined
): readonly CoveredComponent[] {
  if (!Array.isArray(texts)) throw invalidOption(option, 'is not a list of component identifiers')
  const refuse = (fact: string): ReturnType<typeof invalidOption> => invalidOption(option, fact)
  return texts.map((text) => {
    const component = parseComponent(text, refuse)
    if (component.name === '@signature-params') throw refuse('@signature-params is always covered and never listed')
    return coverable(component, fieldTypes, refuse)
  })
}

function checkOptions({ key, label, expiresInSeconds, tag, parameters }: MessageSignatureOptions): void {
  if (typeof label !== 'string' || !isValidKeyStr(label)) {
    throw invalidOption('label', 'is not a key of a structured field', 'use lower-case letters, digits and - _ . *')
  }
  if (
    expiresInSeconds !== false &&
    !(Number.isInteger(expiresInSeconds) && expiresInSeconds >= 1 && expiresInSeconds <= longestLifetimeSeconds)
  ) {
    throw invalidOption('expiresInSeconds', `is not a whole number of seconds from 1 to ${longestLifetimeSeconds}, or false`)
  }
  checkText('tag', tag)
  checkText('keyId', key.keyId)
  if (parameters !== undefined && (!Array.isArray(parameters) || parameters.some((name) => !defaultParameters.includes(name)))) {
    throw invalidOption('parameters', `holds a name that is none of ${defaultParameters.join(', ')}`)
  }
  if (parameters !== undefined && new Set(parameters).size !== parameters.length) throw invalidOption('parameters', 'names one twice')
}

function checkText(option: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'string' || value === '' || !/^[\x20-\x7e]+$/.test(value))) {
    throw invalidOption(option, 'is not a text of printable ASCII characters')
  }
}
