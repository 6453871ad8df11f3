import { type Dictionary, type Item, type List, parseDictionary, parseItem, parseList } from 'structured-headers'
import { signatureInvalid } from './signature-error.ts'

/** What a structured field is at its top (RFC 9651 §3). */
export type FieldType = 'dictionary' | 'list' | 'item'

/**
 * The fields whose structured type is registered. `sf` needs it: the same text can be a list and a dictionary, and the two serialise differently
 * (RFC 9421 §2.1.1).
 */
const registeredTypes: ReadonlyMap<string, FieldType> = new Map<string, FieldType>([
  ['accept-ch', 'list'],
  ['accept-signature', 'dictionary'],
  ['cache-status', 'list'],
  ['capsule-protocol', 'item'],
  ['cdn-cache-control', 'dictionary'],
  ['client-cert', 'item'],
  ['client-cert-chain', 'list'],
  ['content-digest', 'dictionary'],
  ['deprecation', 'item'],
  ['priority', 'dictionary'],
  ['proxy-status', 'list'],
  ['repr-digest', 'dictionary'],
  ['signature', 'dictionary'],
  ['signature-agent', 'dictionary'],
  ['signature-input', 'dictionary'],
  ['want-content-digest', 'dictionary'],
  ['want-repr-digest', 'dictionary']
])

/** The structured type of a field, by the caller's word or the registry's. */
export function fieldTypeOf(name: string, given: Readonly<Record<string, FieldType>> = {}): FieldType | undefined {
  return Object.hasOwn(given, name) ? given[name] : registeredTypes.get(name)
}

/** @throws `MCPAUTH_SIGNATURE_INVALID` */
export function parseFieldDictionary(name: string, text: string): Dictionary {
  return parsed(name, () => parseDictionary(text))
}

/** @throws `MCPAUTH_SIGNATURE_INVALID` */
export function parseFieldList(name: string, text: string): List {
  return parsed(name, () => parseList(text))
}

/** @throws `MCPAUTH_SIGNATURE_INVALID` */
export function parseFieldItem(name: string, text: string): Item {
  return parsed(name, () => parseItem(text))
}

function parsed<T>(name: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    // Never chained: the parser quotes what it was given.
    throw signatureInvalid(`${name}: not a well-formed structured field`)
  }
}
