export { type AwsRefusalReason, AwsRefusedError } from './aws-error.ts'
export type { AwsCredentials, AwsCredentialsOption, AwsCredentialsProvider } from './credentials.ts'
export { type SigV4Options, withSigV4 } from './with-sigv4.ts'
