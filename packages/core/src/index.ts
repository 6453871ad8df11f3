export { type AuthChallenge, parseChallenges } from './auth-challenge.ts'
export { type AuthFetch, type AuthFetchOptions, authFetch, type DispatcherLike, type FetchLike } from './auth-fetch.ts'
export { authMiddleware, type Middleware } from './auth-middleware.ts'
export { type AuthProvider, asAuthProvider } from './auth-provider.ts'
export { commandUrl, commandWord, loginCommand } from './command-word.ts'
export { compose } from './compose.ts'
export { checkReferences, checkVariableName, type Environment, expandVariables, readVariable } from './environment.ts'
export { invalidOption, McpAuthError, type McpAuthErrorCode, type McpAuthErrorOptions } from './errors.ts'
export { type McpAuthEvent, publish } from './events.ts'
export { fetchDispatcher } from './fetch-dispatcher.ts'
export type { AnswerHead, HeldAnswer } from './held-answer.ts'
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
export { asOAuthClientProvider, type OAuthClientProvider, type OAuthClientProviderOptions } from './oauth-client-provider.ts'
export { pastProxy, proxyAgent } from './proxy-agent.ts'
export { type Prepared, type ReplayPolicy, replaying, type Turn } from './replay.ts'
export { knownBytes, type ReplayableRequest, readBytes, replayableRequest, withBody } from './request-body.ts'
export { type HeaderPairs, headerPairs, headerValue, requestUrl, withHeaderValues } from './request-headers.ts'
export { safeText } from './safe-text.ts'
export { createSecretRegistry, type LiteralRegistry, literals, type SecretRegistry, secrets } from './secret-registry.ts'
export { type ChangingFile, changingFile, secretFile, sourceFailed, warnOfReadableKey } from './secret-source.ts'
export {
  type BindOptions,
  bindTo,
  canonicalServerUrl,
  isLoopbackHost,
  parseServerUrl,
  type RequestTarget,
  type ServerBinding
} from './server-binding.ts'
export type { AccessToken, Refusal, TokenSource } from './token-source.ts'
export type { ClientRecord, HeldRecord, StoreKey, TokenRecord, TokenStore, TransactOptions } from './token-store.ts'
export { type TransportClass, type TransportLike, type WrapTransportOptions, wrapTransport } from './wrap-transport.ts'
