export type { HeaderValue } from './header-source.ts'
export { type HeadersOptions, withHeaders } from './with-headers.ts'
