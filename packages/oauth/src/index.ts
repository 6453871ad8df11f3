export type { Environment } from '@mcpauth/core'
export { type BrowserLoginOptions, browserLogin } from './browser-login.ts'
export { type ClientMetadataDocumentOptions, clientMetadataDocument } from './client-metadata-document.ts'
export { clientCredentials } from './grants/client-credentials.ts'
export { type DeviceLoginOptions, type DevicePrompt, deviceLogin } from './grants/device-code.ts'
export type { Grant, GrantRequest, ProofMaker } from './grants/grant.ts'
export { jwtBearer, workloadIdentity } from './grants/jwt-bearer.ts'
export { refreshTokenOnly } from './grants/refresh-token-only.ts'
export {
  type EnterpriseAuthorizationOptions,
  enterpriseAuthorization,
  type TokenExchangeOptions,
  tokenExchange
} from './grants/token-exchange.ts'
export type { Login, OpenLogin } from './login.ts'
export { OAuthResponseError } from './oauth-response-error.ts'
export type { OAuthStatus } from './oauth-status.ts'
export { type LoginOptions, type OAuthTokens, oauthTokens } from './oauth-tokens.ts'
export { type OidcLogin, type OidcLoginOptions, oidcLogin } from './oidc-login.ts'
export type { ClientOptions, OAuthOptions } from './options.ts'
export { type PasteLoginOptions, pasteLogin } from './paste-login.ts'
export type { SecretSource } from './secret-source.ts'
export type { TokenEndpointAuthMethod } from './token-endpoint-auth-method.ts'
export type { TokenResponse } from './token-response.ts'
export { withOAuth } from './with-oauth.ts'
