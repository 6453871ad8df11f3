import { type AccessToken, authFetch, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { expect, test } from 'vitest'
import { httpServer } from './http-server.ts'

/** A throw-away source whose one login ends when the test says so. */
function loginSource(): TokenSource & { logins: number; waiting: number; finish(): void } {
  let token: AccessToken | undefined
  let flight: Promise<AccessToken> | undefined
  let finish = (): void => undefined
  const source = {
    logins: 0,
    waiting: 0,
    finish: () => finish(),
    current: () => token,
    renew(_refusal: unknown, waiter?: AbortSignal): Promise<AccessToken> {
      source.waiting += 1
      flight ??= new Promise((resolve) => {
        source.logins += 1
        finish = () => {
          token = { value: 'token-after-login', scheme: 'Bearer', generation: 1, origin: 'granted' }
          resolve(token)
        }
      })
      return new Promise((resolve, reject) => {
        waiter?.addEventListener('abort', () => reject(waiter.reason))
        flight?.then(resolve, reject)
      })
    }
  }
  return source
}

test('forty requests wait for one login; one of them is aborted, leaves alone, and is never sent later', async () => {
  await using server = await httpServer((request, response) => response.writeHead(request.headers.authorization ? 200 : 401).end())
  const source = loginSource()
  await using fetch = authFetch(withRefreshOn401(server.url, source))
  const caller = new AbortController()
  const requests = Array.from({ length: 40 }, (_, index) =>
    fetch(new URL(`/${index}`, server.url), { method: 'POST', body: String(index), ...(index === 7 ? { signal: caller.signal } : {}) })
  )
  const settled = Promise.allSettled(requests)
  await expect.poll(() => source.waiting).toBe(40)
  const reason = new Error('the caller went away')
  caller.abort(reason)
  await expect(requests[7]).rejects.toBe(reason)
  source.finish()
  const results = await settled
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(39)
  expect(source.logins).toBe(1)
  const sentWithToken = server.requests.filter(({ headers }) => headers.authorization).map(({ path }) => path)
  expect(sentWithToken).toHaveLength(39)
  expect(sentWithToken).not.toContain('/7')
})
