import { type McpAuthError, safeText } from '@mcpauth/core'
import { type Item, type Parameters, parseItem, serializeItem, serializeString } from 'structured-headers'

/** The parameters of a signature (RFC 9421 §2.3), in the order in which they are written. */
export type SignatureParameter = 'created' | 'keyid' | 'alg' | 'expires' | 'nonce' | 'tag'

/** The order of the Web Bot Auth drafts' own examples. */
export const defaultParameters: readonly SignatureParameter[] = ['created', 'keyid', 'alg', 'expires', 'nonce', 'tag']

/** What the parameters say. Times in seconds since the epoch. */
export interface ParameterValues {
  readonly created: number
  readonly expires?: number | undefined
  /** Already serialised: a nonce of ours needs no check. */
  readonly nonce?: string | undefined
}

/** What they say of every message alike. */
export interface FixedValues {
  readonly keyid?: string | undefined
  readonly alg?: string | undefined
  readonly tag?: string | undefined
}

/** Writes the part of `@signature-params` that follows the component list. */
export type WriteParameters = (values: ParameterValues) => string

/** Serialises what does not change once, so that a request costs three pieces of text. */
export function parameterWriter(order: readonly SignatureParameter[], fixed: FixedValues): WriteParameters {
  const pieces = order.map((name) => pieceFor(name, fixed))
  return (values) => {
    let text = ''
    for (const piece of pieces) text += typeof piece === 'string' ? piece : piece(values)
    return text
  }
}

function pieceFor(name: SignatureParameter, fixed: FixedValues): string | WriteParameters {
  switch (name) {
    case 'created':
      return ({ created }) => `;created=${created}`
    case 'expires':
      return ({ expires }) => (expires === undefined ? '' : `;expires=${expires}`)
    case 'nonce':
      return ({ nonce }) => (nonce === undefined ? '' : `;nonce=${nonce}`)
    default:
      return fixed[name] === undefined ? '' : `;${name}=${serializeString(fixed[name])}`
  }
}

/** A component identifier: what is covered, and how (RFC 9421 §2). */
export interface ComponentIdentifier {
  /** Lower case, with its `@` where it is derived. */
  readonly name: string
  readonly parameters: Parameters
  /** As it stands in the signature base and in `Signature-Input`. */
  readonly text: string
  /** Equal for identifiers that are the same: the order of parameters does not count (RFC 9421 §2). */
  readonly identity: string
}

/** What to throw about an identifier. */
export type Refuse = (fact: string) => McpAuthError

/** The parameters that a component may have, and whether each is a flag or a text. */
const parameterKinds: Readonly<Record<string, 'flag' | 'text'>> = { sf: 'flag', key: 'text', bs: 'flag', req: 'flag', name: 'text' }

/**
 * Reads an identifier as it is written in options: `@method`, `content-type`, `"cache-status";sf`, `@query-param;name="id"`. The quotes of the name may be
 * left out.
 */
export function parseComponent(text: unknown, refuse: Refuse): ComponentIdentifier {
  if (typeof text !== 'string') throw refuse('a component is not a text')
  const end = text.indexOf(';')
  const quoted = text.startsWith('"') ? text : end === -1 ? `"${text}"` : `"${text.slice(0, end)}"${text.slice(end)}`
  let item: Item
  try {
    item = parseItem(quoted)
  } catch {
    throw refuse(`${safeText(text, 80)} is not a component identifier`)
  }
  return componentOf(item, refuse)
}

/** Checks an identifier that a structured field holds. */
export function componentOf(item: Item, refuse: Refuse): ComponentIdentifier {
  const [name, parameters] = item
  if (typeof name !== 'string' || !/^@?[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name)) {
    throw refuse('a component name is neither a derived component nor a field name in lower case')
  }
  for (const [parameter, value] of parameters) {
    if (parameter === 'tr') throw refuse(`${name}: trailers are not covered here`)
    const kind = Object.hasOwn(parameterKinds, parameter) ? parameterKinds[parameter] : undefined
    if (kind === undefined || (kind === 'flag' ? value !== true : typeof value !== 'string')) {
      throw refuse(`${name}: parameter ${safeText(parameter, 40)} is unknown or has no such value`)
    }
  }
  if (parameters.has('bs') && (parameters.has('sf') || parameters.has('key'))) throw refuse(`${name}: bs excludes sf and key`)
  if (parameters.has('name') !== (name === '@query-param'))
    throw refuse(`${name}: parameter name belongs to @query-param, and it needs one`)
  if (name.startsWith('@') && (parameters.has('bs') || parameters.has('sf') || parameters.has('key'))) {
    throw refuse(`${name}: sf, key and bs are for fields`)
  }
  return { name, parameters, text: serializeItem(item), identity: identityOf(name, parameters) }
}

function identityOf(name: string, parameters: Parameters): string {
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1))
  return serializeItem([name, new Map(sorted)])
}

/** @throws what `refuse` makes when an identifier occurs twice */
export function refuseRepeated(components: readonly ComponentIdentifier[], refuse: Refuse): void {
  const seen = new Set<string>()
  for (const { identity, name } of components) {
    if (seen.has(identity)) throw refuse(`${name} is covered twice`)
    seen.add(identity)
  }
}
