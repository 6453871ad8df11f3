import {
  type ClientRecord,
  canonicalServerUrl,
  invalidOption,
  isLoopbackHost,
  type StoreKey,
  secrets,
  type TokenRecord
} from '@mcpauth/core'
import { canonicalKey, describeKey } from './store-key.ts'

/** The version of the record's format that this code writes. */
export const recordVersion = 1
/** A record is a few kilobytes; what is larger was not written by a token store. */
export const maxRecordBytes: number = 1024 * 1024
const maxDepth = 32

/** What the bytes of a record turned out to be. */
export type ParsedRecord =
  | { readonly outcome: 'record'; readonly record: TokenRecord }
  /** Not to be trusted in any part; `reason` quotes nothing of it. */
  | { readonly outcome: 'damaged'; readonly reason: string }
  /** Written by a newer version: neither read nor overwritten. */
  | { readonly outcome: 'newer'; readonly version: number }

type Check = (value: unknown) => string | undefined

/** What each known field may hold. Fields that are not here are carried along as they are. */
const fieldChecks: Readonly<Record<string, Check>> = {
  access_token: token,
  refresh_token: token,
  token_type: text,
  scope: text,
  expires_at_unix: instant,
  last_refreshed: text,
  version: counter,
  generation: counter,
  server_url: url,
  profile: text,
  resource: text,
  issuer: text,
  token_endpoint: endpoint,
  requested_scope: text,
  lifetime: instant,
  client
}

const clientChecks: Readonly<Record<string, Check>> = {
  client_id: text,
  client_secret: text,
  client_secret_expires_at: instant,
  token_endpoint_auth_method: text,
  redirect_uris: texts,
  issuer: text
}

/**
 * Reads a record's bytes: UTF-8, one JSON object, every known field of its type, and bound to `key` where it says what it is bound to.
 * Registers the secrets it finds. Never throws, and never trusts a record in part.
 */
export function parseRecord(bytes: Uint8Array, key: StoreKey): ParsedRecord {
  const parsed = parseJson(bytes)
  if ('reason' in parsed) return { outcome: 'damaged', reason: parsed.reason }
  const record = withoutNulls(parsed.object)
  registerSecrets(record, key)
  if (typeof record.version === 'number' && record.version > recordVersion) return { outcome: 'newer', version: record.version }
  const reason = faultOf(record) ?? foreignTo(record, key)
  return reason === undefined ? { outcome: 'record', record } : { outcome: 'damaged', reason }
}

/**
 * The bytes of a record, bound to `key`: what it does not say about its server or issuer is filled in.
 *
 * @throws `MCPAUTH_INVALID_OPTION` when a field holds what could not be read back; it names the field, never the value.
 */
export function serializeRecord(record: TokenRecord, key: StoreKey): Uint8Array {
  const bound = bindRecord(record, key)
  registerSecrets(bound, key)
  const reason = faultOf(bound) ?? foreignTo(bound, key)
  if (reason !== undefined) throw invalidOption('record', reason)
  const bytes = Buffer.from(`${writtenAsJson(bound)}\n`)
  if (bytes.length > maxRecordBytes) throw invalidOption('record', `is larger than ${maxRecordBytes} bytes`)
  return bytes
}

function writtenAsJson(record: TokenRecord): string {
  try {
    return JSON.stringify(record, null, 2)
  } catch {
    // What JSON.stringify throws names the fields on the way.
    throw invalidOption('record', 'cannot be written as JSON')
  }
}

/** What is left of a record whose tokens are gone: its generation and what it is bound to. */
export function tombstoneOf(record: TokenRecord): TokenRecord {
  const kept: TokenRecord = { version: recordVersion, generation: record.generation ?? 1 }
  if (record.server_url !== undefined) kept.server_url = record.server_url
  if (record.profile !== undefined) kept.profile = record.profile
  if (record.issuer !== undefined) kept.issuer = record.issuer
  return kept
}

/** Whether a record holds something to use. */
export function holdsSomething(record: TokenRecord, kind: StoreKey['kind']): boolean {
  if (kind === 'client') return record.client !== undefined
  return record.access_token !== undefined || record.refresh_token !== undefined
}

/** A record and the key that it says it is for; undefined when it is damaged, newer, or does not say (one copied in from elsewhere). */
export function parseBoundRecord(bytes: Uint8Array, kind: StoreKey['kind']): { key: StoreKey; record: TokenRecord } | undefined {
  const parsed = parseJson(bytes)
  if ('reason' in parsed) return undefined
  const record = withoutNulls(parsed.object)
  const usable = faultOf(record) === undefined && (record.version ?? recordVersion) <= recordVersion
  const key = usable ? keyOf(record, kind) : undefined
  registerSecrets(record, key)
  return key && { key, record }
}

function keyOf(record: TokenRecord, kind: StoreKey['kind']): StoreKey | undefined {
  const { server_url: url, issuer, profile, client } = record
  switch (kind) {
    case 'server':
    case 'login':
      if (url === undefined) return undefined
      return canonicalKey(profile === undefined ? { kind, url } : { kind, url, profile })
    case 'client':
      return issuer === undefined ? undefined : { kind, issuer }
    case 'identity':
      return issuer === undefined || client === undefined ? undefined : { kind, issuer, clientId: client.client_id }
  }
}

function bindRecord(record: TokenRecord, key: StoreKey): TokenRecord {
  const bound: TokenRecord = { ...withoutNulls(record), version: record.version ?? recordVersion }
  switch (key.kind) {
    case 'server':
    case 'login': {
      const { url: serverUrl, profile } = canonicalKey(key) as { url: string; profile?: string }
      bound.server_url ??= serverUrl
      if (profile !== undefined) bound.profile ??= profile
      return bound
    }
    case 'client':
      bound.issuer ??= key.issuer
      return bound
    case 'identity':
      bound.issuer ??= key.issuer
      bound.client ??= { client_id: key.clientId }
      return bound
  }
}

function parseJson(bytes: Uint8Array): { object: Record<string, unknown> } | { reason: string } {
  if (bytes.length > maxRecordBytes) return { reason: 'is too large' }
  let value: unknown
  try {
    // Never chain or quote what JSON.parse throws: its message holds a piece of the input.
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return { reason: 'is not JSON in UTF-8' }
  }
  if (!isObject(value)) return { reason: 'is not a JSON object' }
  const reason = unsafeShape(value)
  return reason === undefined ? { object: value } : { reason }
}

/** Walks without recursion, so that a deep document cannot exhaust the stack. */
function unsafeShape(root: object): string | undefined {
  const open: [node: object, depth: number][] = [[root, 1]]
  for (let next = open.pop(); next; next = open.pop()) {
    const [node, depth] = next
    if (depth > maxDepth) return 'is nested too deeply'
    if (Object.hasOwn(node, '__proto__')) return 'holds a __proto__ field'
    for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) open.push([child, depth + 1])
  }
  return undefined
}

/** Other tools write null for "none". */
function withoutNulls(object: Record<string, unknown>): TokenRecord {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null))
}

function faultOf(record: TokenRecord): string | undefined {
  return faultIn(record, fieldChecks)
}

function faultIn(object: Readonly<Record<string, unknown>>, checks: Readonly<Record<string, Check>>): string | undefined {
  for (const [name, check] of Object.entries(checks)) {
    if (object[name] === undefined) continue
    const fault = check(object[name])
    if (fault !== undefined) return `${name} ${fault}`
  }
  return undefined
}

/** A record is used only for what it says it is for; one that does not say is bound at its first use. */
function foreignTo(record: TokenRecord, key: StoreKey): string | undefined {
  switch (key.kind) {
    case 'server':
    case 'login': {
      const { url: serverUrl, profile } = canonicalKey(key) as { url: string; profile?: string }
      if (record.server_url !== undefined && canonicalServerUrl(record.server_url) !== serverUrl) return 'server_url names another server'
      if (record.profile !== undefined && record.profile !== (profile ?? '')) return 'profile names another profile'
      return undefined
    }
    case 'client':
      return record.issuer === undefined || record.issuer === key.issuer ? undefined : 'issuer names another issuer'
    case 'identity':
      if (record.issuer !== undefined && record.issuer !== key.issuer) return 'issuer names another issuer'
      return record.client === undefined || record.client.client_id === key.clientId ? undefined : 'client names another client'
  }
}

/** @param key Whose they are, so that the ones that replace them let them go. */
function registerSecrets(record: TokenRecord, key: StoreKey | undefined): void {
  const owner = key && describeKey(key)
  const register = (value: unknown, label: string): void => {
    if (typeof value === 'string') secrets.add(value, label, owner)
  }
  // The labels of oauth, so that the registry can tell which of them are rotated tokens.
  for (const name of ['access_token', 'refresh_token', 'id_token']) register(record[name], name)
  if (isObject(record.client)) for (const name of ['client_secret', 'registration_access_token']) register(record.client[name], name)
  // A private JWK that the tokens are bound to (RFC 9449).
  if (isObject(record.dpop_key)) register(record.dpop_key.d, 'dpop_key')
}

function token(value: unknown): string | undefined {
  // RFC 6749 appendix A: a token is made of visible ASCII characters and spaces. Anything else could not be sent.
  return typeof value === 'string' && /^[\x20-\x7e]+$/.test(value) ? undefined : 'is not a token'
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? undefined : 'is not a string'
}

function texts(value: unknown): string | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? undefined : 'is not a list of strings'
}

function instant(value: unknown): string | undefined {
  // Dates end at 8.64e12 seconds.
  return typeof value === 'number' && value >= 0 && value <= 8.64e12 ? undefined : 'is not a number of seconds'
}

function counter(value: unknown): string | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : 'is not a count'
}

function url(value: unknown): string | undefined {
  return typeof value === 'string' && URL.canParse(value) ? undefined : 'is not a URL'
}

function endpoint(value: unknown): string | undefined {
  if (url(value) !== undefined) return 'is not a URL'
  const { protocol, hostname } = new URL(value as string)
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname)) ? undefined : 'is not https'
}

function client(value: unknown): string | undefined {
  if (!isObject(value)) return 'is not an object'
  const record = withoutNulls(value) as unknown as ClientRecord
  return record.client_id === undefined ? 'has no client_id' : faultIn(record, clientChecks)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
