export { createRedactor, type Redactor } from './create-redactor.ts'
export type { RedactorOptions, Rule } from './rules.ts'
export { type SecretShape, secretShapes } from './secret-shapes.ts'
