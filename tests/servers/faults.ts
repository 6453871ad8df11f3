import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Handler } from './http-origin.ts'

/** What goes wrong at an endpoint. Unless it says otherwise, the request never reaches the server behind. */
export type Fault =
  /** The server works, later. */
  | { kind: 'delay'; ms: number }
  /** The server works once the promise has settled. */
  | { kind: 'hold'; until: Promise<unknown> }
  /** The connection ends without an answer, before anything was done. */
  | { kind: 'drop before' }
  /** The server does what it was asked and the answer is lost. */
  | { kind: 'drop after' }
  | { kind: 'status'; status: number; body?: string; headers?: Record<string, string> }
  /** 200 with a body that is not JSON although it says so. */
  | { kind: 'garbage' }
  | { kind: 'html'; status?: number }
  /** A JSON string of 64 MiB. */
  | { kind: 'huge'; bytes?: number }
  /** A sound head, then one byte per interval. */
  | { kind: 'slow'; everyMs?: number }
  /** Never an answer. */
  | { kind: 'silence' }
  | { kind: 'redirect'; to: string | URL; status?: number }

type Answer = Extract<Fault, { kind: 'status' | 'garbage' | 'html' | 'huge' | 'slow' | 'redirect' }>
const json = { 'content-type': 'application/json' }

/** A fault that is switched on. */
export interface ActiveFault {
  /** How many requests it has met. */
  readonly hits: number
  clear(): void
}

/** The fault switches of one server, per endpoint. */
export interface Faults<Endpoint extends string> {
  /** Switches a fault on. @param times How many requests it meets. @default every one until cleared */
  set(endpoint: Endpoint, fault: Fault, options?: { times?: number }): ActiveFault
  /** A handler that runs into the endpoint's fault first. */
  guard(endpoint: Endpoint | undefined, handler: Handler): Handler
}

export function createFaults<Endpoint extends string>(): Faults<Endpoint> {
  const active = new Map<Endpoint, { fault: Fault; left: number; hits: number }>()

  return {
    set(endpoint, fault, { times = Number.POSITIVE_INFINITY } = {}) {
      const entry = { fault, left: times, hits: 0 }
      active.set(endpoint, entry)
      return {
        get hits() {
          return entry.hits
        },
        clear() {
          if (active.get(endpoint) === entry) active.delete(endpoint)
        }
      }
    },
    guard(endpoint, handler) {
      return (request, response) => {
        const entry = endpoint === undefined ? undefined : active.get(endpoint)
        if (!entry || entry.left === 0) return handler(request, response)
        entry.left -= 1
        entry.hits += 1
        return meet(entry.fault, request, response, handler)
      }
    }
  }
}

async function meet(fault: Fault, request: IncomingMessage, response: ServerResponse, handler: Handler): Promise<void> {
  switch (fault.kind) {
    case 'delay':
      await delay(fault.ms)
      return handler(request, response)
    case 'hold':
      await fault.until.catch(() => undefined)
      return handler(request, response)
    case 'drop after':
      loseAnswer(response)
      return handler(request, response)
    case 'silence':
      request.resume()
      return
    case 'drop before':
      await drain(request)
      request.socket.destroy()
      return
    default:
      await drain(request)
      return answer(fault, response)
  }
}

function answer(fault: Answer, response: ServerResponse): void {
  if (fault.kind === 'huge') pour(response, fault.bytes ?? 64 * 1024 * 1024)
  else if (fault.kind === 'slow') trickle(response, fault.everyMs ?? 1_000)
  else if (fault.kind === 'redirect') response.writeHead(fault.status ?? 307, { location: String(fault.to) }).end()
  else if (fault.kind === 'garbage') response.writeHead(200, json).end('{"access_token": "never-closed')
  else if (fault.kind === 'html')
    response.writeHead(fault.status ?? 200, { 'content-type': 'text/html' }).end('<!doctype html><h1>A proxy</h1>')
  else response.writeHead(fault.status, { ...json, ...fault.headers }).end(fault.body ?? '')
}

async function drain(request: IncomingMessage): Promise<void> {
  for await (const _ of request);
}

/** Everything the handler writes is thrown away; when it is done, the connection ends. */
function loseAnswer(response: ServerResponse): void {
  response.writeHead = () => response
  response.write = () => true
  response.end = () => {
    response.socket?.destroy()
    return response
  }
}

function pour(response: ServerResponse, bytes: number): void {
  const chunk = 'a'.repeat(64 * 1024)
  let left = bytes
  response.writeHead(200, json).write('{"access_token":"')
  function more(): void {
    while (left > 0) {
      left -= chunk.length
      if (!response.write(chunk)) {
        response.once('drain', more)
        return
      }
    }
    response.end('"}')
  }
  more()
}

function trickle(response: ServerResponse, everyMs: number): void {
  const text = JSON.stringify({ access_token: 'x'.repeat(4096), token_type: 'Bearer' })
  let at = 0
  response.writeHead(200, json)
  const timer = setInterval(() => {
    response.write(text[at++])
    if (at === text.length) response.end()
  }, everyMs)
  response.once('close', () => clearInterval(timer))
}
