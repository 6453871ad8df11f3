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
  },
  {
    file: 'packages/oauth/src/record-refresh.ts',
    from: 'token_endpoint === undefined',
    to: 'false',
    why: 'for the compiler: what is absent is no URL either'
  },
  {
    file: 'packages/oauth/src/access-token.ts',
    from: 'record.refresh_token',
    to: 'true',
    why: 'for the compiler: the registry takes nothing that is no text'
  },
  {
    file: 'packages/oauth/src/adopt-while-waiting.ts',
    from: 'pauseMs * 1.5',
    to: 'pauseMs / 1.5',
    why: 'how often is looked; ./dev stress and ./dev bench postgres measure what it costs'
  },
  {
    file: 'packages/oauth/src/adopt-while-waiting.ts',
    from: 'pauseMs * (0.5 + Math.random())',
    to: 'pauseMs / (0.5 + Math.random())',
    why: 'how often is looked'
  },
  {
    file: 'packages/oauth/src/adopt-while-waiting.ts',
    from: '0.5 + Math.random()',
    to: '0.5 - Math.random()',
    why: 'how often is looked'
  },
  {
    file: 'packages/oauth/src/adopt-while-waiting.ts',
    from: 'false',
    to: 'true',
    why: 'who waits for a lock is kept alive by the lock’s own wait'
  },
  {
    file: 'packages/oauth/src/adopt-while-waiting.ts',
    from: 'found !== undefined',
    to: 'true',
    why: 'for the compiler: nobody else ends the waiting'
  },
  {
    file: 'packages/oauth/src/flights.ts',
    from: 'waiter?.reason',
    to: 'waiter.reason',
    why: 'for the compiler: without a waiter nobody aborts'
  },
  {
    file: 'packages/oauth/src/authorization-target.ts',
    from: 'issuer !== undefined',
    to: 'true',
    why: 'for the compiler: undefined is in no list of issuers'
  },
  {
    file: 'packages/oauth/src/client-identity.ts',
    from: "'private_key_jwt'",
    to: '""',
    why: 'with a key, nothing else is settled on'
  },
  {
    file: 'packages/oauth/src/session-store.ts',
    from: '{ deadlineMs: 1_000 }',
    to: '{}',
    why: 'the lock of a store that only this process has, held for no time at all'
  },
  {
    file: 'packages/oauth/src/authorization.ts',
    from: 'isOfSeed(stored, seed) && isEnough(stored, wish, now())',
    to: 'false',
    why: 'a look ahead that saves a discovery; the one under the lock decides'
  },
  {
    file: 'packages/oauth/src/authorization.ts',
    from: 'record.expires_at_unix !== undefined',
    to: 'true',
    why: 'for the compiler: NaN is not over'
  },
  {
    file: 'packages/oauth/src/discovery.ts',
    from: "'the resource metadata'",
    to: '""',
    why: 'the words of an error'
  },
  {
    file: 'packages/oauth/src/discovery.ts',
    from: "'the authorization server metadata'",
    to: '""',
    why: 'the words of an error'
  },
  {
    file: 'packages/oauth/src/discovery.ts',
    from: 'url !== undefined',
    to: 'true',
    why: 'for the compiler: undefined is no URL'
  },
  {
    file: 'packages/oauth/src/authorization-server-client.ts',
    from: 'signal?.reason',
    to: 'signal.reason',
    why: 'for the compiler: only a signal calls it'
  },
  {
    file: 'packages/oauth/src/authorization-server-client.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'for the compiler: a function without a return gives undefined'
  }
]
