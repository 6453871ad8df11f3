import type { FaultPoint } from '@mcpauth/token-store'
import type { PoolConfig } from 'pg'

/** The moments of a refresh at which a process is killed or stopped, in their order. */
export const points = [
  'lock-taken',
  're-read',
  'before-request',
  'after-sent',
  'committed',
  'half-read',
  'temp-written',
  'temp-synced',
  'renamed',
  'before-release'
] as const satisfies readonly (FaultPoint | 're-read' | 'before-request' | 'after-sent' | 'committed' | 'half-read')[]

export type Point = (typeof points)[number]

/** Where a kill loses the grant on a server without grace: after the request was sent, before its answer is in place (docs/architecture.md). */
export const window: ReadonlySet<Point> = new Set(['after-sent', 'committed', 'half-read', 'temp-written', 'temp-synced'])

/** Where an agent is struck, and the files by which it is armed and says so. */
export interface Fault {
  point: Point
  signal: 'SIGKILL' | 'SIGSTOP'
  armed: string
  struck: string
}

/** What an agent is started with. */
export interface AgentTask {
  server: string
  root: string
  staleMs: number
  /** How long it waits for the lock. */
  lockWaitMs?: number
  fault?: Fault
  /** Tokens are in this PostgreSQL, not in files. */
  database?: PoolConfig
  /** 'process': a helper asks and writes. */
  refreshIsolation?: 'process'
}

export type Order =
  | { id: number; do: 'call' | 'measure' | 'login' | 'logout' }
  | { id: number; do: 'clock'; offsetMs: number }
  | { id: number; do: 'fault'; fault: Fault }

/** An agent's answer to an order. `atMs` is the wall clock when it was done. */
export interface Report {
  id: number
  ok: boolean
  atMs: number
  code?: string
  message?: string
  dataBytes?: number
  handles?: number
}
