import { randomBytes } from 'node:crypto'
import { invalidOption } from '@mcpauth/core'
import { isValidKeyStr } from 'structured-headers'
import type { HttpMessage } from './http-message.ts'
import { baseLine, type CoveredComponent, coverable, signatureBase } from './signature-base.ts'
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

  function sign(message: HttpMessage, also?: CoveredComponent): SignatureMembers {
    let list = fixedList
    const lines: string[] = []
    for (const component of components) lines.push(baseLine(component, message))
    const add = (component: CoveredComponent): void => {
      lines.push(baseLine(component, message))
      list += list === '' ? component.text : ` ${component.text}`
    }
    for (const component of ifPresent) if (component.valueIn(message) !== undefined) add(component)
    if (also) add(also)
    const created = Math.floor(now() / 1000)
    const expires = expiresInSeconds === false ? undefined : created + expiresInSeconds
    const input = `(${list})${write({ created, expires, nonce: nonce?.() })}`
    return { input, signature: `:${key.sign(signatureBase(lines, input)).toString('base64')}:` }
  }
  return { label, key, components, ifPresent, sign }
}

/** A fresh nonce of 32 random bytes. */
export function freshNonce(): string {
  return randomBytes(32).toString('base64url')
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

function checkOptions({ key, label, expiresInSeconds, tag, parameters, nonce }: MessageSignatureOptions): void {
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
  if (nonce !== undefined && typeof nonce !== 'function') throw invalidOption('nonce', 'is neither true, false nor a function')
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
