export { type AuthChallenge, parseChallenges } from './auth-challenge.ts'
export { invalidOption, McpAuthError, type McpAuthErrorCode, type McpAuthErrorOptions } from './errors.ts'
export { type McpAuthEvent, publish } from './events.ts'
export {
  type Dispatch,
  type DispatchController,
  type DispatchHandler,
  type DispatchOptions,
  describeLayer,
  type Interceptor,
  type Layer,
  layer,
  type ReadonlyHeaders,
  type Road
} from './interceptor.ts'
export { type HeaderPairs, headerPairs, headerValue, requestUrl, withHeaderValues } from './request-headers.ts'
export { safeText } from './safe-text.ts'
export { type SecretRegistry, secrets } from './secret-registry.ts'
export { type BindOptions, bindTo, canonicalServerUrl, isLoopbackHost, parseServerUrl, type ServerBinding } from './server-binding.ts'
export type { AccessToken, Refusal, TokenSource } from './token-source.ts'
export type { ClientRecord, HeldRecord, StoreKey, TokenRecord, TokenStore, TransactOptions } from './token-store.ts'
