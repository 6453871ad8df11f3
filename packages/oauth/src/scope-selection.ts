import type { AuthChallenge } from '@mcpauth/core'

/** A list of scopes as it goes on the wire (RFC 6749 §3.3) into words; duplicates are left out. */
export function scopeWords(scope: string | undefined): string[] {
  return [...new Set((scope ?? '').split(' ').filter((word) => word !== ''))]
}

/** Both lists, the first one's order first; undefined when empty. */
export function scopeUnion(first: string | undefined, second: string | undefined): string | undefined {
  const words = scopeWords(`${first ?? ''} ${second ?? ''}`)
  return words.length === 0 ? undefined : words.join(' ')
}

/** Whether every scope of `wanted` is in `granted`. */
export function scopeCovers(granted: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return granted !== undefined && wanted.every((word) => granted.includes(word))
}

/** What a first request may ask for. */
export interface ScopeChoice {
  /** The user's own wish; it goes before everything. */
  option: string | undefined
  /** Of the challenge: authoritative (N18). */
  challenged: string | undefined
  resourceScopes: readonly string[] | undefined
  serverScopes: readonly string[] | undefined
  /** Whether a refresh token is of use. */
  wantsRefresh: boolean
}

/**
 * The scope to ask for: the user's → the challenge's → all of the resource's `scopes_supported` → none (N17). With it `offline_access` where the
 * authorization server lists it (N27).
 */
export function selectScope({ option, challenged, resourceScopes, serverScopes, wantsRefresh }: ScopeChoice): string | undefined {
  const chosen = option ?? (challenged || undefined) ?? (resourceScopes?.length ? resourceScopes.join(' ') : undefined)
  const offline = wantsRefresh && option === undefined && serverScopes?.includes('offline_access')
  return scopeUnion(chosen, offline ? 'offline_access' : undefined)
}

/** The scopes that the challenges ask for. */
export function challengedScope(challenges: readonly AuthChallenge[]): string | undefined {
  return challenges.reduce<string | undefined>((found, { parameters }) => scopeUnion(found, parameters.scope), undefined)
}
