export type { PemSource } from './pem-source.ts'
export { type MtlsLayer, type MtlsOptions, withMtls } from './with-mtls.ts'
