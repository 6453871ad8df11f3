import { safeText } from '@mcpauth/core'
import { type Dictionary, type InnerList, isInnerList } from 'structured-headers'
import type { HttpMessage } from './http-message.ts'
import { bytesOf } from './signature-base.ts'
import { signatureInvalid } from './signature-error.ts'
import { parseFieldDictionary } from './structured-fields.ts'

/** A message is not searched through for ever. */
const maxSignatures = 16

/** One signature of a message, not verified yet. */
export interface SignatureCandidate {
  readonly label: string
  /** The covered components and the parameters, as `Signature-Input` states them. */
  readonly input: InnerList
  readonly signature: Uint8Array
}

/** Which signatures are meant. */
export interface MeantSignature {
  readonly label?: string
  readonly tag?: string
}

/**
 * The signatures of a message that may be the one that is meant (RFC 9421 §3.2): at least one, in their order.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` there is none, or what there is cannot be read
 */
export function signatureCandidates(message: HttpMessage, meant: MeantSignature): SignatureCandidate[] {
  const { label, tag } = meant
  const inputs = dictionaryOf(message, 'signature-input')
  const signatures = dictionaryOf(message, 'signature')
  const found: SignatureCandidate[] = []
  for (const [name, input] of inputs) {
    if (label !== undefined && name !== label) continue
    if (!isInnerList(input)) throw signatureInvalid(`signature-input: member ${safeText(name, 40)} is not a list`)
    if (tag !== undefined && input[1].get('tag') !== tag) continue
    const value = signatures.get(name)
    const signature = value && !isInnerList(value) ? bytesOf(value[0]) : undefined
    if (!signature) throw signatureInvalid(`signature: there is none for ${safeText(name, 40)}`)
    found.push({ label: name, input, signature })
  }
  if (found.length === 0) throw signatureInvalid(noneFound(meant))
  if (found.length > maxSignatures) throw signatureInvalid(`signature-input: more than ${maxSignatures} signatures`)
  return found
}

function dictionaryOf(message: HttpMessage, name: string): Dictionary {
  const values = message.fields(name)
  if (values === undefined) throw signatureInvalid(`${name}: not in the message`)
  return parseFieldDictionary(name, values.join(', '))
}

function noneFound({ label, tag }: MeantSignature): string {
  if (label !== undefined) return `signature-input: has no member ${safeText(label, 40)}`
  return tag === undefined ? 'signature-input: holds no signature' : `signature-input: no signature is tagged ${safeText(tag, 40)}`
}
