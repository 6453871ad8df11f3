import { onTestFinished } from 'vitest'

/** Makes this process that of another user until the test is over; of none, as on Windows, for undefined. */
export function userIs(uid: number | undefined): void {
  const own = process.geteuid
  Object.assign(process, { geteuid: uid === undefined ? undefined : () => uid })
  onTestFinished(() => void Object.assign(process, { geteuid: own }))
}
