// biome-ignore-all lint/suspicious/noTemplateCurlyInString: pieces of source, as they are written.
/** A mutant that no test can or need kill, and why. It is known by what it changes, so that it is found again when lines move. */
export interface Explained {
  file: string
  from: string
  to: string
  why: string
}

export const explained: readonly Explained[] = [
  {
    file: 'packages/core/src/redirect-rule.ts',
    from: 'hop === first',
    to: 'false',
    why: 'the same answer, found out for every call'
  },
  {
    file: 'packages/core/src/discreet-error.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'what is no error is passed over'
  },
  {
    file: 'packages/core/src/discreet-error.ts',
    from: 'safe !== text',
    to: 'true',
    why: 'writes what stands there already'
  },
  {
    file: 'packages/oauth/src/refresh.ts',
    from: 'record?.token_endpoint',
    to: 'record.token_endpoint',
    why: 'without a record nothing was sent that could have been refused'
  },
  {
    file: 'packages/oauth/src/refresh.ts',
    from: 'performance.now() < until',
    to: 'performance.now() <= until',
    why: 'the clock does not meet that very moment'
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
    file: 'packages/oauth/src/with-oauth.ts',
    from: "tokens.server.protocol === 'http:'",
    to: 'true',
    why: 'with an https server the permission has no effect; that it is not given there is for those who read'
  },
  {
    file: 'packages/oauth/src/address-guard.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'nobody looks at addresses beside an error'
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
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'performance.now() > until',
    to: 'performance.now() >= until',
    why: 'a moment more or less of waiting'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: '8 + Math.random() * 52',
    to: '8 - Math.random() * 52',
    why: 'how often is looked'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'Math.random() * 52',
    to: 'Math.random() / 52',
    why: 'how often is looked'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: "'.ts'",
    to: '""',
    why: 'the sources end so; tests/packed runs what is published'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: "'refresh-helper.js'",
    to: '""',
    why: 'its name in what is published, which tests/packed runs'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'true',
    to: 'false',
    why: 'whether Windows opens a console; that the helper is detached has a test'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'helper.stdout?.setEncoding',
    to: 'helper.stdout.setEncoding',
    why: 'for the compiler: it is a pipe'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'helper.stdin?.on',
    to: 'helper.stdin.on',
    why: 'for the compiler: it is a pipe'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'helper.stdin?.end',
    to: 'helper.stdin.end',
    why: 'for the compiler: it is a pipe'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: "'utf8'",
    to: '""',
    why: 'no encoding means the same one'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'nothing is undefined, too'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'hint === undefined',
    to: 'false',
    why: 'a hint that is undefined is none'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'helper.stdin?.destroy',
    to: 'helper.stdin.destroy',
    why: 'for the compiler: it was started with a pipe'
  },
  {
    file: 'packages/oauth/src/refresh-isolation.ts',
    from: 'helper.stdout?.destroy',
    to: 'helper.stdout.destroy',
    why: 'the same'
  },
  {
    file: 'packages/oauth/src/refresh-helper.ts',
    from: 'hint === undefined',
    to: 'false',
    why: 'what is undefined is not written down'
  },
  {
    file: 'packages/oauth/src/record-refresh.ts',
    from: 'token_endpoint === undefined',
    to: 'false',
    why: 'for the compiler: what is absent is no URL either'
  },
  {
    file: 'packages/oauth/src/record-refresh.ts',
    from: 'false',
    to: 'true',
    why: 'nothing is foreign where no challenge names a URL; where one does, that it stays false has a test'
  },
  {
    file: 'packages/oauth/src/current-token.ts',
    from: '() => void Promise.all([loadAsking(), loadProtocol()]).catch(() => undefined)',
    to: '() => undefined',
    why: 'start-up.test.ts sees it, in a process of its own: here everything is loaded'
  },
  {
    file: 'packages/oauth/src/current-token.ts',
    from: '[loadAsking(), loadProtocol()]',
    to: '[]',
    why: 'start-up.test.ts sees it, in a process of its own: here everything is loaded'
  },
  {
    file: 'packages/oauth/src/current-token.ts',
    from: '!grant',
    to: 'false',
    why: 'for the compiler: what can be renewed has a refresh token or a grant'
  },
  {
    file: 'packages/oauth/src/current-token.ts',
    from: 'refresh_token !== undefined',
    to: 'true',
    why: 'whoever renews looks at that again'
  },
  {
    file: 'packages/oauth/src/current-token.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'neither is a date'
  },
  {
    file: 'packages/oauth/src/oauth-tokens.ts',
    from: "outcome.kind === 'impossible'",
    to: 'true',
    why: 'for the compiler: no other outcome has a why'
  },
  {
    file: 'packages/oauth/src/oauth-tokens.ts',
    from: 'error?.error',
    to: 'error.error',
    why: 'for the compiler: what was refused was refused with an error'
  },
  {
    file: 'packages/oauth/src/oauth-tokens.ts',
    from: 'error?.error',
    to: 'error.error',
    why: 'for the compiler: what was refused was refused with an error'
  },
  {
    file: 'packages/oauth/src/step-up-limit.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'what is no time is not within the last hour'
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
    file: 'packages/oauth/src/flights.ts',
    from: 'waiter?.reason',
    to: 'waiter.reason',
    why: 'for the compiler: only its own abort makes an end of its waiting'
  },
  {
    file: 'packages/oauth/src/revocation.ts',
    from: '!identity',
    to: 'false',
    why: 'for the compiler: a client that is not there cannot be asked with, which is no yes either'
  },
  {
    file: 'packages/oauth/src/revocation.ts',
    from: '() => false',
    to: '() => undefined',
    why: 'neither is a yes'
  },
  {
    file: 'packages/oauth/src/revocation.ts',
    from: "'the revocation'",
    to: '""',
    why: 'the wording of an error that nobody gets: a logout is done without the server, too'
  },
  {
    file: 'packages/oauth/src/revocation.ts',
    from: '{ url: undefined, allowForeign: false, refused: false }',
    to: '{}',
    why: 'what is absent is no more than what is false'
  },
  {
    file: 'packages/oauth/src/revocation.ts',
    from: 'false',
    to: 'true',
    why: 'nothing is foreign where no challenge names a URL; what was refused has a test'
  },
  {
    file: 'packages/oauth/src/authorization-target.ts',
    from: 'context.signal?.aborted',
    to: 'context.signal.aborted',
    why: 'for the compiler: every discovery has its time limit'
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
    file: 'packages/oauth/src/session-store.ts',
    from: '{ deadlineMs: 1_000 }',
    to: '{}',
    why: 'the same lock, when what only this process has is cleared'
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
    from: 'value === null',
    to: 'false',
    why: 'for the compiler: what is absent is neither a number nor a date'
  },
  {
    file: 'packages/oauth/src/authorization-server-client.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'for the compiler: a function without a return gives undefined'
  },
  {
    file: 'packages/core/src/auth-challenge.ts',
    from: 'name !== undefined',
    to: 'true',
    why: 'an equals sign right behind a scheme has made a parameter of the scheme before'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: '() => (o, h) => run(o, h as DispatchHandler)',
    to: '() => undefined',
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: '(o, h) => run(o, h as DispatchHandler)',
    to: '() => undefined',
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "typeof handler.onRequestStart === 'function'",
    to: 'false',
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "typeof handler.onRequestStart === 'function'",
    to: 'true',
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "'function'",
    to: '""',
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "typeof handler.onRequestStart === 'function'",
    to: "typeof handler.onRequestStart !== 'function'",
    why: 'only the fetch of undici 7 passes handlers of the old shape; the tests run with 8'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'requireNode()',
    to: ';',
    why: 'only an old Node is refused there'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'headersTimeoutMs === undefined',
    to: 'false',
    why: 'a headersTimeout of undefined and none are the same to undici'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'env.http_proxy || env.HTTP_PROXY || env.https_proxy || env.HTTPS_PROXY',
    to: 'true',
    why: 'without a proxy in the environment the agent for proxies sends directly too'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "typeof input === 'string'",
    to: 'true',
    why: 'what is a URL already is parsed once more'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: "typeof input === 'string'",
    to: 'true',
    why: 'what is a URL already is parsed once more'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'init.body === null || init.body === undefined',
    to: 'false',
    why: 'no bytes are put back where fetch gives no body'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'init.body === null || init.body === undefined',
    to: 'init.body === null && init.body === undefined',
    why: 'no bytes are put back where fetch gives no body'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'init.body === null',
    to: 'false',
    why: 'no bytes are put back where fetch gives no body'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: 'init.body === undefined',
    to: 'false',
    why: 'no bytes are put back where fetch gives no body'
  },
  {
    file: 'packages/core/src/auth-fetch.ts',
    from: '!proxyConfigured()',
    to: 'false',
    why: 'an agent of the environment that finds no proxy there asks as one without'
  },
  {
    file: 'packages/core/src/auth-provider.ts',
    from: '{ token: undefined }',
    to: '{}',
    why: 'a token of undefined and none are the same'
  },
  {
    file: 'packages/core/src/auth-provider.ts',
    from: '{ token: undefined }',
    to: '{}',
    why: 'a token of undefined and none are the same'
  },
  {
    file: 'packages/core/src/compose.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'no server has either for its origin'
  },
  {
    file: 'packages/core/src/compose.ts',
    from: 'first?.binding',
    to: 'first.binding',
    why: 'for the compiler: where there is no first, nothing is looked through'
  },
  {
    file: 'packages/core/src/errors.ts',
    from: 'hint === undefined',
    to: 'false',
    why: 'a hint of undefined and none are the same'
  },
  {
    file: 'packages/core/src/events.ts',
    from: 'target.hasSubscribers',
    to: 'true',
    why: 'publishing to nobody is nothing'
  },
  {
    file: 'packages/core/src/fetch-dispatcher.ts',
    from: 'response.body?.cancel',
    to: 'response.body.cancel',
    why: 'after an abort its reason is the error, whatever else goes wrong'
  },
  {
    file: 'packages/core/src/fetch-dispatcher.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'a piece without bytes is not told, and a string has no byteLength'
  },
  {
    file: 'packages/core/src/replay.ts',
    from: 'prepared.options === this.#original',
    to: 'true',
    why: 'copies a request that is a copy already'
  },
  {
    file: 'packages/core/src/held-answer.ts',
    from: 'this.#limit.unref()',
    to: ';',
    why: 'a program waits at most ten seconds longer for its end; the timer is cleared with the answer'
  },
  {
    file: 'packages/core/src/held-answer.ts',
    from: 'chunks.length === 1',
    to: 'false',
    why: 'copies the bytes once more'
  },
  {
    file: 'packages/core/src/request-body.ts',
    from: 'body instanceof Uint8Array',
    to: 'false',
    why: 'a view of the same bytes'
  },
  {
    file: 'packages/core/src/request-body.ts',
    from: 'chunks.length === 1',
    to: 'false',
    why: 'copies the bytes once more'
  },
  {
    file: 'packages/core/src/request-headers.ts',
    from: 'key.length === name.length',
    to: 'true',
    why: 'saves a change of case'
  },
  {
    file: 'packages/core/src/request-headers.ts',
    from: 'candidate.length === name.length',
    to: 'true',
    why: 'saves a change of case'
  },
  {
    file: 'packages/core/src/request-headers.ts',
    from: 'candidate === name',
    to: 'false',
    why: 'saves a change of case'
  },
  {
    file: 'packages/core/src/request-headers.ts',
    from: "'/'",
    to: '""',
    why: 'new URL adds the slash'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'rest.length > 0',
    to: 'true',
    why: 'an empty bucket is a look-up more'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'rest.length > 0',
    to: 'rest.length >= 0',
    why: 'an empty bucket is a look-up more'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'free.push(number)',
    to: ';',
    why: 'a pattern in a place of its own finds the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'removed += 1',
    to: 'removed -= 1',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'removed > patterns.length',
    to: 'removed >= patterns.length',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'removed > patterns.length',
    to: 'true',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'removed > patterns.length',
    to: 'false',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '{ removed = 0 filter.fill(0) for (const word of places.keys()) { const hash = hashOf(word) filter[hash >>> 5]! |= 1 << …',
    to: '{}',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'sweep()',
    to: ';',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'removed > patterns.length',
    to: 'removed <= patterns.length',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'filter.fill(0)',
    to: ';',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '[last, last - 5, last - 10, Math.floor(last / 2), 0]',
    to: '[]',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '{ if (anchor < 0) continue const load = crowdAt(text, anchor) if (load < least) { best = anchor least = load } if (leas…',
    to: '{}',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'anchor < 0',
    to: 'true',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'anchor < 0',
    to: 'anchor <= 0',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'load < least',
    to: 'true',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'load < least',
    to: 'false',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'load < least',
    to: 'load <= least',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'load < least',
    to: 'load >= least',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '{ best = anchor least = load }',
    to: '{}',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'least < crowded',
    to: 'true',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'least < crowded',
    to: 'least <= crowded',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'least < crowded',
    to: 'false',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'least < crowded',
    to: 'least >= crowded',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '{ let load = 0 for (let window = 0; window < windows; window++) load += places.get(wordAt(text, anchor + window))?.leng…',
    to: '{}',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'window < windows',
    to: 'false',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'window < windows',
    to: 'window <= windows',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'window < windows',
    to: 'window >= windows',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'load += places.get(wordAt(text, anchor + window))?.length ?? 0',
    to: 'load -= places.get(wordAt(text, anchor + window))?.length ?? 0',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'places.get(wordAt(text, anchor + window))?.length ?? 0',
    to: 'places.get(wordAt(text, anchor + window))?.length && 0',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'anchor + window',
    to: 'anchor - window',
    why: 'any window of a form finds it; this chooses the one that costs least'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'places.size === 0 || text.length < minimumForm',
    to: 'places.size === 0 && text.length < minimumForm',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'places.size === 0 || text.length < minimumForm',
    to: 'false',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'places.size === 0',
    to: 'false',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'text.length < minimumForm',
    to: 'false',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'offset < text.length',
    to: 'offset <= text.length',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'i < end',
    to: 'i <= end',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '((filter[hash >>> 5] as number) >>> (hash & 31)) & 1',
    to: 'true',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '!text.startsWith(pattern.probe, anchorAt)',
    to: 'false',
    why: 'saves a comparison, or the pass over a text in which nothing can be'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '{ return Math.imul(word, 0x9e3779b1) >>> (32 - filterBits) }',
    to: '{}',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '32 - filterBits',
    to: '32 + filterBits',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'a pattern in a place of its own finds the same'
  },
  {
    file: 'packages/core/src/secret-matcher.ts',
    from: 'filterBits - 5',
    to: 'filterBits + 5',
    why: 'the filter saves look-ups: what it lets through is compared all the same'
  },
  {
    file: 'packages/core/src/secret-source.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'the first call reads the file or throws'
  },
  {
    file: 'packages/core/src/url-queries.ts',
    from: "'?'",
    to: '""',
    why: 'spares a text without a query the search for one'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'group.size === 0',
    to: 'false',
    why: 'an empty group lowers the share of the others by one label'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'groups.delete(entry.label)',
    to: ';',
    why: 'an empty group lowers the share of the others by one label'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'rotation.secrets.size === 0',
    to: 'true',
    why: 'a rotation begun anew keeps eight more, within the bound of the whole registry'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'rotation.secrets.size === 0',
    to: 'rotation.secrets.size !== 0',
    why: 'a rotation begun anew keeps eight more, within the bound of the whole registry'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'rotation.secrets.size === 0',
    to: 'false',
    why: 'an empty rotation costs its name'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'rotations.delete(rotation.name)',
    to: ';',
    why: 'an empty rotation costs its name'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'found.length === 0',
    to: 'false',
    why: 'an unchanged text is put together anew'
  },
  {
    file: 'packages/core/src/secret-registry.ts',
    from: 'group.size > largest.size',
    to: 'group.size >= largest.size',
    why: 'of two groups of one size either may lose its oldest'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: "typeof origin !== 'string'",
    to: 'true',
    why: 'the origin is then parsed for every request: slower, not otherwise'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: "'string'",
    to: '""',
    why: 'the origin is then parsed for every request: slower, not otherwise'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: 'last?.origin !== origin',
    to: 'true',
    why: 'the origin is then parsed for every request: slower, not otherwise'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: 'isPlain(pathname)',
    to: 'false',
    why: 'every path takes the slow way, which answers the same'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: '{ return !/%|\\\\|\\/\\.|\\/\\/|;|#|[\\u0000-\\u0020]/.test(pathname) }',
    to: '{}',
    why: 'every path takes the slow way, which answers the same'
  },
  {
    file: 'packages/core/src/server-binding.ts',
    from: '/%|\\\\|\\/\\.|\\/\\/|;|#|[\\u0000-\\u0020]/',
    to: '/%|\\\\|\\/\\.|\\/\\/|;|#|[^\\u0000-\\u0020]/',
    why: 'every path takes the slow way, which answers the same'
  },
  {
    file: 'packages/core/src/wrap-transport.ts',
    from: "typeof ancestor === 'function'",
    to: 'true',
    why: 'the chain of classes ends at Function.prototype, and what is behind it has no name of ours'
  },
  {
    file: 'packages/core/src/wrap-transport.ts',
    from: 'ancestor !== Function.prototype',
    to: 'true',
    why: 'the chain of classes ends at Function.prototype, and what is behind it has no name of ours'
  },
  {
    file: 'packages/core/src/wrap-transport.ts',
    from: "{ bind: 'path' }",
    to: '{}',
    why: 'a road is bound to the path anyway'
  },
  {
    file: 'packages/core/src/wrap-transport.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'no header has that name'
  },
  {
    file: 'packages/refresh-on-401/src/refresh-on-401.ts',
    from: "'none'",
    to: '""',
    why: 'any word that is no generation will do'
  },
  {
    file: 'packages/refresh-on-401/src/refresh-on-401.ts',
    from: "'again'",
    to: '""',
    why: 'of the verdict: whatever is not pass sends again'
  },
  {
    file: 'packages/refresh-on-401/src/refresh-on-401.ts',
    from: "'again'",
    to: '""',
    why: 'of the verdict: whatever is not pass sends again'
  },
  {
    file: 'packages/refresh-on-401/src/refresh-on-401.ts',
    from: 'value === registered',
    to: 'false',
    why: 'registers again what is registered'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'root === undefined',
    to: 'false',
    why: 'a user without a home is played by a process of its own (file-store.test.ts)'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'round += 1',
    to: 'round -= 1',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'Math.min(8 * 1.3 ** Math.min(round, 20), 60) * (0.5 + Math.random() / 2)',
    to: 'Math.min(8 * 1.3 ** Math.min(round, 20), 60) / (0.5 + Math.random() / 2)',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '{ return Math.min(8 * 1.3 ** Math.min(round, 20), 60) * (0.5 + Math.random() / 2) }',
    to: '{}',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'Math.min(8 * 1.3 ** Math.min(round, 20), 60)',
    to: 'Math.max(8 * 1.3 ** Math.min(round, 20), 60)',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '8 * 1.3 ** Math.min(round, 20)',
    to: '8 / 1.3 ** Math.min(round, 20)',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'Math.min(round, 20)',
    to: 'Math.max(round, 20)',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '0.5 + Math.random() / 2',
    to: '0.5 - Math.random() / 2',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: 'Math.random() / 2',
    to: 'Math.random() * 2',
    why: 'how long a poll pauses'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '{ signal: waiter }',
    to: '{}',
    why: 'a waiter that leaves is then noticed at the end of the pause, 60 ms later'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: "key.kind === 'login'",
    to: 'false',
    why: 'signal-shield.test.ts and crash.test.ts see it; the thread of a mutant has no signals'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: "key.kind === 'login'",
    to: 'true',
    why: 'signal-shield.test.ts and crash.test.ts see it; the thread of a mutant has no signals'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: "'login'",
    to: '""',
    why: 'signal-shield.test.ts and crash.test.ts see it; the thread of a mutant has no signals'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: "key.kind === 'login'",
    to: "key.kind !== 'login'",
    why: 'signal-shield.test.ts and crash.test.ts see it; the thread of a mutant has no signals'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '{ lower?.() }',
    to: '{}',
    why: 'signal-shield.test.ts and crash.test.ts see it; the thread of a mutant has no signals'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '{ return false }',
    to: '{}',
    why: 'undefined is as false'
  },
  {
    file: 'packages/token-store/src/file-lock.ts',
    from: '{ return false }',
    to: '{}',
    why: 'undefined is as false'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: 'options.lock',
    to: 'true',
    why: 'the folder is looked at once more'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: '/^[0-9a-f]{64}\\.json$/',
    to: '/[0-9a-f]{64}\\.json$/',
    why: 'saves reading what cannot be a record; a record under another name than that of its key is passed over anyway'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: 'readdirSync(folder).filter((name) => /^[0-9a-f]{64}\\.json$/.test(name))',
    to: 'readdirSync(folder)',
    why: 'saves reading what cannot be a record; a record under another name than that of its key is passed over anyway'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: '/^[0-9a-f]{64}\\.json$/',
    to: '/^[0-9a-f]{64}\\.json/',
    why: 'saves reading what cannot be a record; a record under another name than that of its key is passed over anyway'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: '[]',
    to: '["Stryker was here"]',
    why: 'a name without a file has no key'
  },
  {
    file: 'packages/token-store/src/file-store.ts',
    from: "systemCode((error as McpAuthError).cause) !== 'ENOENT'",
    to: 'false',
    why: 'what failed for another reason is tried once more, and fails again'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: '{ throw unavailable(`locking ${path}`, error) }',
    to: '{}',
    why: 'nothing is refused to root, who runs these tests; file-lock.test.ts has a process of another user'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'accessSync(path, constants.R_OK | constants.W_OK)',
    to: ';',
    why: 'nothing is refused to root, who runs these tests; file-lock.test.ts has a process of another user'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'undefined is what a function without return gives'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'false',
    to: 'true',
    why: 'the database has no tables'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'fsyncSync(file)',
    to: ';',
    why: 'what the disk holds after a power cut no test can see'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: "systemCode(error) !== 'EEXIST' && !lstatOf(path)",
    to: 'true',
    why: 'two processes that make one guard at a time: crash.test.ts'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: "systemCode(error) !== 'EEXIST' && !lstatOf(path)",
    to: "systemCode(error) !== 'EEXIST' || !lstatOf(path)",
    why: 'two processes that make one guard at a time: crash.test.ts'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: "systemCode(error) !== 'EEXIST'",
    to: 'true',
    why: 'two processes that make one guard at a time: crash.test.ts'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: "'EEXIST'",
    to: '""',
    why: 'two processes that make one guard at a time: crash.test.ts'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: '!stat',
    to: 'false',
    why: 'a guard that goes in the moment between two looks is an error of another type'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: '(Number(stat.mode) & 0o777) !== 0o600',
    to: 'true',
    why: 'sets the same mode again'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: "'latin1'",
    to: '""',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt32BE(1, 24)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt32BE(4, 44)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt32BE(1, 92)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt32BE(3_045_000, 96)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt32BE(1, 56)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/kernel-lock.ts',
    from: 'page.writeUInt16BE(512, 105)',
    to: ';',
    why: 'SQLite forgives it; the format asks for it'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'a lock that goes between two looks: crash.test.ts and proper-lockfile.test.ts have many processes do so'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: '!stat',
    to: 'false',
    why: 'a lock that goes between two looks: crash.test.ts and proper-lockfile.test.ts have many processes do so'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: 'stat?.isSymbolicLink',
    to: 'stat.isSymbolicLink',
    why: 'a lock that goes between two looks: crash.test.ts and proper-lockfile.test.ts have many processes do so'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: 'sightings.delete(path)',
    to: ';',
    why: 'another lock has another identity, and its sighting begins anew'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: "{ if (systemCode(error) === 'ENOENT') return undefined throw error }",
    to: '{}',
    why: 'no system call on a folder of ours fails in another way that a test could bring about'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: "systemCode(error) === 'ENOENT'",
    to: 'true',
    why: 'no system call on a folder of ours fails in another way that a test could bring about'
  },
  {
    file: 'packages/token-store/src/lock-folder.ts',
    from: "systemCode(error) !== 'ENOTEMPTY'",
    to: 'false',
    why: 'no system call on a folder of ours fails in another way that a test could bring about'
  },
  {
    file: 'packages/token-store/src/lock-owner.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'undefined is what a function without return gives'
  },
  {
    file: 'packages/token-store/src/lock-owner.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'for the compiler: what the kernel says of a process has all its fields'
  },
  {
    file: 'packages/token-store/src/lock-owner.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'for the compiler: what the kernel says of a process has all its fields'
  },
  {
    file: 'packages/token-store/src/lock-owner.ts',
    from: "now.state === 'X'",
    to: 'false',
    why: 'a process is in that state for an instant only'
  },
  {
    file: 'packages/token-store/src/lock-owner.ts',
    from: "'X'",
    to: '""',
    why: 'a process is in that state for an instant only'
  },
  {
    file: 'packages/token-store/src/memory-store.ts',
    from: "parsed.outcome === 'record'",
    to: 'true',
    why: 'what is damaged or newer has no record'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: '{ throw unavailable(`looking at ${path}`, error) }',
    to: '{}',
    why: 'nothing is refused to root, who runs these tests; file-store.test.ts has a process of another user'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: "code === 'EMLINK'",
    to: 'false',
    why: 'what BSD says for ELOOP'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: "'EMLINK'",
    to: '""',
    why: 'what BSD says for ELOOP'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: 'filled < buffer.length',
    to: 'filled <= buffer.length',
    why: 'a read of no bytes ends the loop'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: '{ closeSync(file) }',
    to: '{}',
    why: 'a file that stays open until the process ends; the bytes are on the disk'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: 'closeSync(file)',
    to: ';',
    why: 'the same'
  },
  {
    file: 'packages/token-store/src/private-file.ts',
    from: '{ return false }',
    to: '{}',
    why: 'no is no, whether false or undefined'
  },
  {
    file: 'packages/token-store/src/store-root.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'a user without a home is played by a process of its own (file-store.test.ts); undefined is what a function without return gives'
  },
  {
    file: 'packages/token-store/src/store-root.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'the same'
  },
  {
    file: 'packages/token-store/src/store-root.ts',
    from: '{ return undefined }',
    to: '{}',
    why: 'undefined is what a function without return gives'
  },
  {
    file: 'packages/token-store/src/store-root.ts',
    from: '{ throw unavailable(`making ${folder}`, error) }',
    to: '{}',
    why: 'what could not be made is refused by the look at it'
  },
  {
    file: 'packages/token-store/src/store-root.ts',
    from: '(path) => statfsSync(path).type',
    to: '() => undefined',
    why: 'no test has a network file system of its own'
  },
  {
    file: 'packages/token-store/src/token-record.ts',
    from: 'profile === undefined',
    to: 'false',
    why: 'a profile of undefined and none are the same key'
  },
  {
    file: 'packages/token-store/src/token-record.ts',
    from: 'profile !== undefined',
    to: 'true',
    why: 'JSON leaves an undefined profile out'
  },
  {
    file: 'packages/token-store/src/token-record.ts',
    from: "typeof value === 'string'",
    to: 'true',
    why: 'in register(): the registry takes nothing that is no string'
  },
  {
    file: 'packages/token-store/src/turns.ts',
    from: 'waiter?.reason',
    to: 'waiter.reason',
    why: 'only a waiter can have aborted'
  },
  {
    file: 'packages/oauth/src/authorization-code.ts',
    from: 'endpoint === undefined',
    to: 'false',
    why: 'for the compiler: what is absent is no URL either'
  },
  {
    file: 'packages/oauth/src/authorization-code.ts',
    from: "'the pushed authorization request'",
    to: '""',
    why: 'the wording of an error'
  },
  {
    file: 'packages/oauth/src/authorization-code.ts',
    from: "'the code exchange'",
    to: '""',
    why: 'the wording of an error'
  },
  {
    file: 'packages/oauth/src/authorization-code.ts',
    from: '{ deadlineMs: 30_000 }',
    to: '{}',
    why: '30 s in place of the 60 s of every request'
  },
  {
    file: 'packages/oauth/src/authorization-code.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'no state is of that length, either'
  },
  {
    file: 'packages/oauth/src/refresh-refusal.ts',
    from: 'tokenEndpoint === undefined',
    to: 'false',
    why: 'for the compiler: what is absent is no URL either'
  },
  {
    file: 'packages/oauth/src/refusal-limit.ts',
    from: "outcome.kind !== 'impossible'",
    to: 'false',
    why: 'for the compiler: no other outcome has a why'
  },
  {
    file: 'packages/oauth/src/guarded-network.ts',
    from: 'handler.onResponseError?.(neverStarted, error)',
    to: 'handler.onResponseError(neverStarted, error)',
    why: 'for the compiler: our handlers have it'
  },
  {
    file: 'packages/oauth/src/oidc-session.ts',
    from: 'record.expires_at_unix !== undefined',
    to: 'true',
    why: 'for the compiler: NaN is later than nothing'
  },
  {
    file: 'packages/oauth/src/oidc-session.ts',
    from: '`${stale.generation}`',
    to: '``',
    why: 'whatever it was begun for, a refresh reads the record again; at worst it brings what was refused meanwhile, and a person is asked'
  },
  {
    file: 'packages/oauth/src/oidc-session.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'no token is of that text, either, and it is no JSON'
  },
  {
    file: 'packages/oauth/src/oidc-session.ts',
    from: "''",
    to: '"Stryker was here!"',
    why: 'no token is of that text, either, and it is no JSON'
  },
  {
    file: 'packages/oauth/src/loopback-server.ts',
    from: 'code',
    to: 'true',
    why: 'the registry takes no secret that is none'
  },
  {
    file: 'packages/oauth/src/loopback-server.ts',
    from: 'expected?.settle',
    to: 'expected.settle',
    why: 'for the compiler: without an expected state nothing is accepted'
  },
  {
    file: 'packages/oauth/src/loopback-server.ts',
    from: 'server !== undefined',
    to: 'true',
    why: 'a page with an undefined server is one without'
  },
  {
    file: 'packages/oauth/src/loopback-server.ts',
    from: 'target?.startsWith',
    to: 'target.startsWith',
    why: 'for the compiler: what a server receives has a target'
  },
  {
    file: 'packages/oauth/src/pasted-redirect.ts',
    from: 'code',
    to: 'true',
    why: 'the registry takes no secret that is none'
  },
  {
    file: 'packages/oauth/src/dpop.ts',
    from: 'last?.token !== token',
    to: 'true',
    why: 'the hash is computed again, and is the same'
  },
  {
    file: 'packages/oauth/src/dpop-proofs.ts',
    from: 'last?.d !== jwk.d',
    to: 'true',
    why: 'the key is loaded again, and signs the same'
  },
  {
    file: 'packages/oauth/src/grants/device-code.ts',
    from: '/^https?:$/',
    to: '/^https?:/',
    why: 'a protocol ends with its only colon'
  },
  {
    file: 'packages/oauth/src/grants/device-code.ts',
    from: '!(error instanceof OAuthResponseError)',
    to: 'false',
    why: 'for the compiler: what is no answer of the server holds no error, and is thrown in the end'
  },
  {
    file: 'packages/oauth/src/grants/grant.ts',
    from: 'attempt += 1',
    to: 'attempt -= 1',
    why: 'it only counts whether it is the first'
  },
  {
    file: 'packages/oauth/src/grants/grant.ts',
    from: 'endpoint === undefined',
    to: 'false',
    why: 'for the compiler: what is absent is no URL either'
  },
  {
    file: 'packages/oauth/src/browser-login.ts',
    from: '{ return false }',
    to: '{}',
    why: 'for the compiler: undefined is no browser, either'
  },
  {
    file: 'packages/oauth/src/browser-login.ts',
    from: 'server === undefined',
    to: 'false',
    why: 'a page with an undefined server is one without'
  },
  {
    file: 'packages/oauth/src/browser-login.ts',
    from: 'problem.hint === undefined',
    to: 'false',
    why: 'a page with undefined advice is one without'
  },
  {
    file: 'packages/oauth/src/browser-login.ts',
    from: "typeof path !== 'string'",
    to: 'false',
    why: 'for the compiler: the path of a URL is a string'
  },
  {
    file: 'packages/oauth/src/oidc-login.ts',
    from: 'true',
    to: 'false',
    why: 'only the names of the table count'
  },
  {
    file: 'packages/oauth/src/oidc-login.ts',
    from: 'true',
    to: 'false',
    why: 'only the names of the table count'
  },
  {
    file: 'packages/oauth/src/options.ts',
    from: 'false',
    to: 'true',
    why: 'the next line lets nothing but https through'
  },
  {
    file: 'packages/oauth/src/option-names.ts',
    from: "name.replace(/[_-]/g, '').toLowerCase()",
    to: "name.replace(/[_-]/g, '').toUpperCase()",
    why: 'either is one case'
  },
  {
    file: 'packages/oauth/src/road-network.ts',
    from: 'roads.filter((known) => !known.road.closed.aborted)',
    to: 'roads',
    why: 'a road that is closed is not taken anyway, only kept in memory'
  },
  {
    file: 'packages/oauth/src/secret-source.ts',
    from: 'hint === undefined',
    to: 'false',
    why: 'a hint of undefined and none are the same'
  },
  {
    file: 'packages/oauth/src/secret-source.ts',
    from: '`as ${name}`',
    to: '``',
    why: 'the words of a hint'
  },
  {
    file: 'packages/oauth/src/client-authentication.ts',
    from: 'kid === undefined',
    to: 'false',
    why: 'JSON leaves an undefined kid out'
  },
  {
    file: 'packages/oauth/src/client-authentication.ts',
    from: 'key.asymmetricKeyDetails?.namedCurve',
    to: 'key.asymmetricKeyDetails.namedCurve',
    why: 'for the compiler: a key of a curve has it'
  },
  {
    file: 'packages/oauth/src/client-authentication.ts',
    from: 'chosen === undefined',
    to: 'false',
    why: 'for the compiler: every type of key has an algorithm, and undefined is none'
  },
  {
    file: 'packages/oauth/src/client-registration.ts',
    from: 'scope === undefined',
    to: 'false',
    why: 'JSON leaves an undefined scope out'
  },
  {
    file: 'packages/oauth/src/client-registration.ts',
    from: "'the client registration'",
    to: '""',
    why: 'the words of an error'
  },
  {
    file: 'packages/oauth/src/client-registration.ts',
    from: 'secret !== undefined',
    to: 'true',
    why: 'before secrets.add(): the registry takes nothing that is no text'
  },
  {
    file: 'packages/oauth/src/client-registration.ts',
    from: "typeof fields.token_endpoint_auth_method === 'string'",
    to: 'true',
    why: 'for the compiler: what is no text is no method either'
  },
  {
    file: 'packages/oauth/src/client-registration.ts',
    from: 'expires !== undefined',
    to: 'true',
    why: 'for the compiler: NaN is not over'
  }
]
