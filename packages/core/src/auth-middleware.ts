import { type AuthFetch, type AuthFetchOptions, authFetch, type FetchLike } from './auth-fetch.ts'
import { fetchDispatcher } from './fetch-dispatcher.ts'
import type { Interceptor } from './interceptor.ts'

/** The middleware of both SDKs' `applyMiddlewares`. */
export type Middleware = (next: FetchLike) => FetchLike

/**
 * The layers as a middleware for `applyMiddlewares` of SDK v1 and v2. Each request passes the layers and then leaves through the next middleware, so that
 * what stands behind sees the credential, and what stands before does not.
 *
 * @param options `dispatcher` is the next middleware and cannot be given.
 * @throws the codes of {@link authFetch}
 */
export function authMiddleware(
  layers: Interceptor | readonly Interceptor[],
  options: Omit<AuthFetchOptions, 'dispatcher'> = {}
): Middleware {
  return (next): AuthFetch => authFetch(layers, { ...options, dispatcher: fetchDispatcher(next) })
}
