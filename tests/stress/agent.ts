import { appendFileSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { getHeapSpaceStatistics } from 'node:v8'
import { authFetch, type Dispatch, McpAuthError, type TokenStore } from '@mcpauth/core'
import { type OpenLogin, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { fileStore } from '@mcpauth/token-store'
import { Agent } from 'undici'
import { approve } from '../servers/scripted-user.ts'
import type { AgentTask, Order, Point, Report } from './fault-points.ts'
import { sum } from './goal.ts'

// One process of many that share a cache: it does what it is told, and ends or stops itself where it is told to.
const task = JSON.parse(process.argv[2] as string) as AgentTask
let offsetMs = 0
let fault = task.fault

/** Strikes once for each time the parent arms it: of many processes, the one that takes the file away is the victim. */
function reach(point: Point): void {
  if (fault?.point !== point) return
  try {
    unlinkSync(fault.armed)
  } catch {
    return
  }
  writeFileSync(fault.struck, `${process.pid} ${Date.now()}`)
  process.kill(process.pid, fault.signal)
  // The kernel delivers a signal to oneself before kill() returns, or within this moment.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
}

// Hundreds of these are started: each loads only what it uses.
const base: TokenStore = task.database
  ? (await import('./database-store.ts')).databaseStore(task.database, reach)
  : fileStore({ root: task.root, staleMs: task.staleMs, probe: { at: reach } })

/** The store, with the point after the re-read. */
const store: TokenStore = {
  ...base,
  transact: (key, work, options) =>
    base.transact(
      key,
      (held) => {
        let reads = 0
        return work({
          async read() {
            const record = await held.read()
            reads += 1
            if (reads === 1) reach('re-read')
            return record
          },
          write: held.write,
          clear: held.clear,
          get lost() {
            return held.lost
          }
        })
      },
      options
    )
}

// A fresh connection for every token request, as the agent of oauth has it.
const agent = new Agent({ pipelining: 0 })
const network: Dispatch = (options, handler) => {
  const send = agent.dispatch.bind(agent) as unknown as Dispatch
  if (options.method !== 'POST' || !options.path.startsWith('/token')) return send(options, handler)
  reach('before-request')
  return send(options, {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onRequestUpgrade: (...rest) => handler.onRequestUpgrade?.(...rest),
    onRequestSent() {
      if (task.database) appendFileSync(join(task.root, 'sent'), `${Date.now()}\n`)
      reach('after-sent')
    },
    onResponseStart(...rest) {
      reach('committed')
      return handler.onResponseStart?.(...rest)
    },
    onResponseData(...rest) {
      reach('half-read')
      return handler.onResponseData?.(...rest)
    },
    onResponseEnd: (...rest) => handler.onResponseEnd?.(...rest),
    onResponseError: (...rest) => handler.onResponseError?.(...rest)
  } as Parameters<Dispatch>[1])
}

/** A person who allows everything. */
async function scriptedLogin(): Promise<OpenLogin> {
  return {
    redirectUri: 'http://127.0.0.1/callback',
    ask: async (url: URL) => (await approve(url, { followCallback: false })).searchParams
  } as OpenLogin
}

const now = (): number => Date.now() + offsetMs
const tokens = oauthTokens(task.server, {
  store,
  refreshAheadSeconds: 0,
  now,
  ...(task.lockWaitMs === undefined ? {} : { lockWaitMs: task.lockWaitMs }),
  ...(task.refreshIsolation === undefined ? {} : { refreshIsolation: task.refreshIsolation })
})
const fetch = authFetch(withOAuth(task.server, tokens), { authorizationServerDispatcher: { dispatch: network } })

/** What is in use of the heap, apart from compiled code: what V8 compiles in a process's first thousands of requests is no leak. */
function dataBytes(): number {
  const data = getHeapSpaceStatistics().filter(({ space_name }) => !['code_space', 'trusted_space'].includes(space_name))
  return sum(data, (space) => space.space_used_size)
}

async function carryOut(order: Order): Promise<Partial<Report>> {
  switch (order.do) {
    case 'call': {
      const response = await fetch(task.server, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })
      await response.text()
      return { ok: response.status === 200, message: String(response.status) }
    }
    case 'login':
      await tokens.login({ login: scriptedLogin })
      return { ok: true }
    case 'logout':
      await tokens.logout()
      return { ok: true }
    case 'clock':
      offsetMs = order.offsetMs
      return { ok: true }
    case 'fault':
      fault = order.fault
      return { ok: true }
    case 'measure':
      // The thorough one, which also lets go of the texts of modules; an ordinary one does so some time or never.
      for (let time = 0; time < 2; time += 1) await globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
      return { ok: true, dataBytes: dataBytes(), handles: readdirSync('/proc/self/fd').length }
  }
}

process.on('message', async (order: Order) => {
  const report = await carryOut(order).catch((error: unknown) => ({
    ok: false,
    code: McpAuthError.is(error) ? error.code : 'none',
    message: (error as Error).message
  }))
  process.send?.({ ok: false, ...report, id: order.id, atMs: Date.now() } satisfies Report)
  // None of them ends in peace, when it would be written by itself.
  flushCompileCache()
})
process.on('disconnect', () => process.exit())
process.send?.({ id: 0, ok: true, atMs: Date.now() } satisfies Report)
