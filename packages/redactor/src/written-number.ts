// Node 22 has them, TypeScript's ES2024 does not know them yet.
const { rawJSON, isRawJSON } = JSON as unknown as { rawJSON(text: string): unknown; isRawJSON(value: unknown): boolean }

/** Stands for a number as it was written, where JavaScript's own would lose digits. */
export function writtenNumber(source: string): unknown {
  return rawJSON(source)
}

/** Whether this stands for a number as it was written. */
export function isWrittenNumber(value: unknown): boolean {
  return isRawJSON(value)
}
