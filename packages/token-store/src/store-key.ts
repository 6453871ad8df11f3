import { hash } from 'node:crypto'
import { canonicalServerUrl, invalidOption, type StoreKey } from '@mcpauth/core'

/**
 * The name of a key's files, relative to the store's root and without an extension: 64 hexadecimal digits, in a folder of its own for
 * registrations and for identity providers.
 *
 * A server's URL is canonicalised first. An issuer never is: two issuers that differ in a slash are two issuers (RFC 9207 §2.4).
 *
 * @throws `MCPAUTH_INVALID_OPTION` when the server's URL is none, or when the profile holds a control character.
 */
export function storeFileName(key: StoreKey): string {
  switch (key.kind) {
    case 'server':
      return digest(serverName(key))
    case 'login':
      return `${digest(serverName(key))}.login`
    case 'client':
      return `clients/${digest(key.issuer)}`
    case 'identity':
      return `identities/${digest(`${key.issuer}\n${key.clientId}`)}`
  }
}

/** The same key, with its URL in canonical form and without an empty profile. */
export function canonicalKey(key: StoreKey): StoreKey {
  if (key.kind !== 'server' && key.kind !== 'login') return key
  const url = canonicalUrl(key.url)
  return key.profile ? { kind: key.kind, url, profile: key.profile } : { kind: key.kind, url }
}

/** What a person would call the key; never a secret. */
export function describeKey(key: StoreKey): string {
  switch (key.kind) {
    case 'server':
      return key.profile ? `${key.url} (profile ${key.profile})` : key.url
    case 'login':
      return `the login at ${key.profile ? `${key.url} (profile ${key.profile})` : key.url}`
    case 'client':
      return `the client registered at ${key.issuer}`
    case 'identity':
      return `the identity at ${key.issuer}`
  }
}

function serverName(key: { url: string; profile?: string }): string {
  const url = canonicalUrl(key.url)
  if (!key.profile) return url
  // The name's two parts are told apart by the line feed, so a profile may hold none.
  if (/\p{Cc}/u.test(key.profile)) throw invalidOption('profile', 'holds a control character')
  return `${url}\n${key.profile}`
}

function canonicalUrl(url: string): string {
  if (!URL.canParse(url)) throw invalidOption('server', 'is not an absolute URL')
  return canonicalServerUrl(url)
}

function digest(text: string): string {
  return hash('sha256', text, 'hex')
}
