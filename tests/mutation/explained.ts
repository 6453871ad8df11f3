/** A mutant that no test can or need kill, and why. It is known by what it changes, so that it is found again when lines move. */
export interface Explained {
  file: string
  from: string
  to: string
  why: string
}

export const explained: readonly Explained[] = [
  {
    file: 'packages/oauth/src/refresh.ts',
    from: 'record?.token_endpoint',
    to: 'record.token_endpoint',
    why: 'without a record nothing was sent that could have been refused'
  },
  {
    file: 'packages/oauth/src/refresher.ts',
    from: 'waitMs !== undefined',
    to: 'true',
    why: 'without a time the pause would end at NaN, before which nothing is'
  },
  {
    file: 'packages/oauth/src/refresher.ts',
    from: "outcome.kind === 'impossible'",
    to: 'true',
    why: 'for the compiler: no other outcome has a why'
  },
  {
    file: 'packages/oauth/src/refresher.ts',
    from: 'refreshToken !== undefined',
    to: 'true',
    why: 'for the compiler: what was refused was sent'
  },
  {
    file: 'packages/oauth/src/address-guard.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'nobody looks at addresses beside an error'
  },
  {
    file: 'packages/oauth/src/address-guard.ts',
    from: "'ipv6'",
    to: '""',
    why: 'node takes every family that is not ipv4 for IPv6'
  },
  {
    file: 'packages/oauth/src/address-guard.ts',
    from: 'handler.onResponseError?.(neverStarted, error)',
    to: 'handler.onResponseError(neverStarted, error)',
    why: 'for the compiler: our handlers have it'
  }
]
