/**
 * Milliseconds since it was made, by whichever clock has gone further. The monotonic clock stands still while this machine sleeps, and the database's goes on: a
 * laptop that wakes up must not believe that its lock is a few seconds old. A wall clock that is set forward costs no more than another look at the row.
 */
export function stopwatch(): () => number {
  const [monotonicMs, wallMs] = [performance.now(), Date.now()]
  return () => Math.max(performance.now() - monotonicMs, Date.now() - wallMs)
}
