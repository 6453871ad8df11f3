import { isMainThread } from 'node:worker_threads'

/** Holds signals back while a token is being replaced. */
export interface SignalShield {
  /** Holds them back until the returned function is called; then the one that came goes on to whom it was meant for. */
  raise(): () => void
}

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
type Listener = (...args: unknown[]) => void

/** Who gets the signals: a process. */
export interface SignalHost {
  readonly pid: number
  kill(pid: number, signal: Signal): unknown
  on(signal: Signal, listener: Listener): unknown
  removeListener(signal: Signal, listener: Listener): unknown
  rawListeners(signal: Signal): unknown[]
}

/** Options of {@link createSignalShield}. */
export interface SignalShieldOptions {
  /** How long a signal is held back at most, in milliseconds. @default 5000 */
  readonly capMs?: number
  /** @default process */
  readonly host?: SignalHost
  /** Whether signals come here at all. @default in the main thread */
  readonly hears?: boolean
}

const signals: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
/** A signal is not held back for longer: who sends it may send SIGKILL next. */
const defaultCapMs = 5_000
const key = Symbol.for('mcpauth.signal-shield.1')

/**
 * The shield of this program. It hangs on the global object under a registered symbol: two copies of this package would set each other's
 * listeners aside.
 */
export function signalShield(): SignalShield {
  const global = globalThis as Record<symbol, unknown>
  global[key] ??= createSignalShield()
  return global[key] as SignalShield
}

/**
 * A refresh token that was sent is used up: a process that dies before the answer is written has lost the login. So a polite signal waits
 * until it is. Adding a listener is not enough, because a host's own listener may call `process.exit`: the host's listeners are set aside for
 * the critical section and put back, in their order, when it is over. Outside it, nothing is installed.
 *
 * A second signal of the same kind, or five seconds, end the shield at once. Worker threads get no signals and need no shield.
 */
export function createSignalShield({
  capMs = defaultCapMs,
  host = process as SignalHost,
  hears = isMainThread
}: SignalShieldOptions = {}): SignalShield {
  if (!hears) return { raise: () => () => undefined }
  let raised = 0
  let lower: (() => void) | undefined

  function raise(): () => void {
    raised += 1
    lower ??= install(host, capMs, () => {
      lower = undefined
    })
    let over = false
    return () => {
      if (over) return
      over = true
      raised -= 1
      if (raised === 0) lower?.()
    }
  }
  return { raise }
}

/** Sets the host's listeners aside. Returns what puts them back and passes the signal on; it also does so by itself. */
function install(host: SignalHost, capMs: number, lowered: () => void): () => void {
  const aside = new Map<Signal, Listener[]>()
  let came: Signal | undefined
  let cap: NodeJS.Timeout | undefined

  const onSignal: Listener = (given) => {
    const signal = given as Signal
    if (came === signal) {
      lower()
      return
    }
    came ??= signal
    cap ??= setTimeout(lower, capMs)
  }
  const lower = (): void => {
    clearTimeout(cap)
    for (const [signal, listeners] of aside) {
      for (const listener of listeners) host.on(signal, listener)
      host.removeListener(signal, onSignal)
    }
    lowered()
    if (came) host.kill(host.pid, came)
  }

  for (const signal of signals) {
    const listeners = host.rawListeners(signal) as Listener[]
    // Ours first, so that there is no moment without a listener, in which the signal would end the process.
    host.on(signal, onSignal)
    for (const listener of listeners) host.removeListener(signal, listener)
    aside.set(signal, listeners)
  }
  return lower
}
