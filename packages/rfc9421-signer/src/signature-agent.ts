import { invalidOption, safeText } from '@mcpauth/core'
import { serializeItem, serializeString, Token } from 'structured-headers'
import { signatureInvalid } from './signature-error.ts'
import { parseFieldDictionary, parseFieldItem } from './structured-fields.ts'

/** How a verifier finds the keys: the directory at the origin's well-known place, a JWK Set, or a client ID metadata document. */
export type SignatureAgentType = 'directory' | 'jwks_uri' | 'cimd'

/** Who signs: a URL, or a URL and what is there. */
export type SignatureAgent = string | URL | { readonly uri: string | URL; readonly type?: SignatureAgentType }

/** One member of a `Signature-Agent` field. */
export interface SignatureAgentEntry {
  /** The label of the signature it belongs to; undefined in the older form, where the field is one text. */
  readonly label: string | undefined
  readonly uri: string
  readonly type: string
}

/** Where a key directory is, below its origin. */
export const wellKnownDirectory = '/.well-known/http-message-signatures-directory'

const types: readonly SignatureAgentType[] = ['directory', 'jwks_uri', 'cimd']

/**
 * The member of `Signature-Agent` for an agent. A directory is named by its origin alone.
 *
 * @throws `MCPAUTH_INVALID_OPTION` not an https URL, a directory that is not an origin, or no such type.
 */
export function signatureAgentMember(agent: SignatureAgent): string {
  const { uri, type } = agentOf(agent)
  return type === 'directory' ? serializeString(uri) : serializeItem([uri, new Map([['type', new Token(type)]])])
}

function agentOf(agent: SignatureAgent): { uri: string; type: SignatureAgentType } {
  const given = typeof agent === 'object' && !(agent instanceof URL) ? agent : { uri: agent }
  const { type = 'directory' } = given
  if (!types.includes(type)) throw invalidOption('signatureAgent.type', `is none of ${types.join(', ')}`)
  const text = String(given.uri)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.username || url.password || url.hash) {
    throw invalidOption('signatureAgent', 'is not an https URL without user name and fragment')
  }
  if (type !== 'directory') return { uri: url.href, type }
  if ((url.pathname !== '/' && url.pathname !== wellKnownDirectory) || url.search) {
    throw invalidOption('signatureAgent', 'a directory is named by its origin alone', "for another place say { uri, type: 'jwks_uri' }")
  }
  return { uri: url.origin, type }
}

/**
 * Reads a `Signature-Agent` field, in the newest form (a dictionary by label) and in the older one (one text).
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` neither of both.
 */
export function parseSignatureAgent(field: string): readonly SignatureAgentEntry[] {
  if (field.trimStart().startsWith('"')) return [entryOf(undefined, ...parseFieldItem('signature-agent', field))]
  return [...parseFieldDictionary('signature-agent', field)].map(([label, [value, parameters]]) => entryOf(label, value, parameters))
}

function entryOf(label: string | undefined, value: unknown, parameters: ReadonlyMap<string, unknown>): SignatureAgentEntry {
  if (typeof value !== 'string') throw signatureInvalid(`signature-agent: member ${safeText(label, 40)} is not a text`)
  const type = parameters.get('type') ?? new Token('directory')
  if (!(type instanceof Token)) throw signatureInvalid(`signature-agent: member ${safeText(label, 40)} has a type that is no token`)
  return { label, uri: value, type: type.toString() }
}
