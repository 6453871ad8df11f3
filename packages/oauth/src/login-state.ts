import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether an answer's `state` is the one that was sent. Its time does not tell how much of it was right (REQUIREMENTS N32). */
export function sameState(expected: string, given: string): boolean {
  return timingSafeEqual(digest(expected), digest(given))
}

function digest(state: string): Buffer {
  return createHash('sha256').update(state).digest()
}
