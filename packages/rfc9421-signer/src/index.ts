export type { SignatureAlgorithm } from './algorithms.ts'
export type { DigestAlgorithm } from './content-digest.ts'
export {
  type DirectoryResponse,
  directoryMediaType,
  directoryTag,
  type KeyDirectory,
  type KeyDirectoryOptions,
  keyDirectory
} from './key-directory.ts'
export type { SignedRequest, SignedResponse } from './received-message.ts'
export {
  parseSignatureAgent,
  type SignatureAgent,
  type SignatureAgentEntry,
  type SignatureAgentType,
  wellKnownDirectory
} from './signature-agent.ts'
export type { SignatureParameter } from './signature-params.ts'
export type { KeyOptions, KeySource } from './signing-keys.ts'
export type { SigningLayerOptions } from './signing-layer.ts'
export type { FieldType } from './structured-fields.ts'
export type { VerificationDirectory } from './verification-key.ts'
export {
  type NonceStore,
  type VerifiedSignature,
  type VerifyOptions,
  verifySignature
} from './verify-signature.ts'
export { type SignatureOptions, type SignatureSpec, withSignature } from './with-signature.ts'
export { type WebBotAuthOptions, webBotAuthTag, withWebBotAuth } from './with-web-bot-auth.ts'
