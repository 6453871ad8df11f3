export type { BearerSource } from './bearer-source.ts'
export { type BearerOptions, withBearer } from './with-bearer.ts'
