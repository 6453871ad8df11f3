import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type Dispatch,
  type DispatchController,
  type DispatchHandler,
  type DispatchOptions,
  type HeldAnswer,
  McpAuthError,
  type ReplayPolicy,
  type Road,
  replaying,
  secrets,
  type Turn
} from '../src/index.ts'

const original: DispatchOptions = {
  origin: 'https://mcp.example.com',
  path: '/mcp',
  method: 'POST',
  body: 'hello',
  headers: { accept: '*/*' }
}
const eventStream: DispatchOptions = { ...original, method: 'GET', body: null, headers: { accept: ' Text/Event-Stream' } }
const refused = new McpAuthError('MCPAUTH_TOKEN_REFUSED', 'no token helps')

class Controller implements DispatchController {
  aborted = false
  reason: Error | null = null
  paused = false
  rawHeaders = ['raw']
  rawTrailers = ['raw trailer']
  abort(reason: Error): void {
    this.aborted = true
    this.reason = reason
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
}

/** One send, and the server's side of it. */
class Send {
  readonly options: DispatchOptions
  readonly handler: DispatchHandler
  readonly controller = new Controller()

  constructor(options: DispatchOptions, handler: DispatchHandler) {
    this.options = options
    this.handler = handler
  }
  start(): this {
    this.handler.onRequestStart?.(this.controller, {})
    return this
  }
  head(status: number): this {
    this.handler.onResponseStart?.(this.controller, status, { 'x-status': String(status) }, `text of ${status}`)
    return this
  }
  data(text: string | Uint8Array): this {
    this.handler.onResponseData?.(this.controller, Buffer.from(text))
    return this
  }
  end(): this {
    this.handler.onResponseEnd?.(this.controller, { trailer: 't' })
    return this
  }
  answer(status: number, body = ''): this {
    return this.start().head(status).data(body).end()
  }
  fail(message: string): this {
    this.handler.onResponseError?.(this.controller, new Error(message))
    return this
  }
}

/** The end of a road: keeps what is sent to it, and tells who waits for the next. */
function network(): { sends: Send[]; dispatch: Dispatch; next(): Promise<Send> } {
  const sends: Send[] = []
  const waiting: Array<(send: Send) => void> = []
  return {
    sends,
    dispatch: (options, handler) => {
      const send = new Send(options, handler)
      sends.push(send)
      waiting.shift()?.(send)
      return true
    },
    next: () => new Promise((resolve) => waiting.push(resolve))
  }
}

/** The caller's handler: writes down what it is told. */
class Caller implements DispatchHandler {
  readonly told: unknown[] = []
  controller: DispatchController | undefined
  error: Error | undefined
  readonly over = Promise.withResolvers<void>()
  onHead: () => void = () => undefined

  onRequestStart(controller: DispatchController): void {
    this.controller = controller
    this.told.push('start')
  }
  onRequestUpgrade(_controller: DispatchController, status: number): void {
    this.told.push(`upgrade ${status}`)
  }
  onBodySent(chunk: unknown, length?: number): void {
    this.told.push(`body ${chunk} ${length}`)
  }
  onRequestSent(): void {
    this.told.push('sent')
  }
  onResponseStarted(): void {
    this.told.push('started')
  }
  onResponseStart(controller: DispatchController, status: number, headers: unknown, statusMessage?: string): void {
    this.told.push([status, headers, statusMessage, controller.rawHeaders])
    this.onHead()
  }
  onResponseData(_controller: DispatchController, chunk: Uint8Array): void {
    this.told.push(Buffer.from(chunk).toString())
  }
  onResponseEnd(controller: DispatchController, trailers: unknown): void {
    this.told.push(['end', trailers, controller.rawTrailers])
    this.over.resolve()
  }
  onResponseError(_controller: DispatchController, error: Error): void {
    this.told.push('error')
    this.error = error
    this.over.resolve()
  }
}

const answerOf = (status: number, body: string): unknown[] => [
  [status, { 'x-status': String(status) }, `text of ${status}`, ['raw']],
  body,
  ['end', { trailer: 't' }, ['raw trailer']]
]

/** Refuses 401 and mends it, unless told otherwise. */
function policyOf(change: Partial<ReplayPolicy<number>> = {}): ReplayPolicy<number> {
  let generation = 0
  return {
    prepare: (request) => ({ options: { ...request, headers: { token: generation } }, sent: generation++ }),
    inspect: ({ status }) => status === 401,
    recover: async () => 'again',
    ...change
  }
}

function roadOf(change: Partial<Road> = {}): Road {
  return { network: () => true, closed: new AbortController().signal, bind: 'path', ...change }
}

const heard: Array<[event: string, message: unknown]> = []
const listen = (message: unknown, name: string | symbol): void => void heard.push([String(name), message])
const channels = ['mcpauth:request:refused', 'mcpauth:request:replayed']
beforeEach(() => {
  for (const channel of channels) subscribe(channel, listen)
})
afterEach(() => {
  for (const channel of channels) unsubscribe(channel, listen)
  heard.length = 0
})

describe('an answer that is not refused', () => {
  test('passes as it comes, and so does what undici tells before it', () => {
    const end = network()
    const caller = new Caller()
    expect(replaying(end.dispatch, original, caller, policyOf())).toBe(true)
    const [send] = end.sends as [Send]
    send.start()
    send.handler.onBodySent?.('chunk', 5)
    send.handler.onRequestSent?.()
    send.handler.onResponseStarted?.()
    send.head(200).data('one').end()
    expect(caller.told).toEqual(['start', 'body chunk 5', 'sent', 'started', ...answerOf(200, 'one')])
    expect(send.options).toMatchObject({ path: '/mcp', headers: { token: 0 } })
    send.handler.onRequestUpgrade?.(send.controller, 101, {}, undefined as never)
    expect(caller.told.at(-1)).toBe('upgrade 101')
  })

  test('an interim answer is no answer: the policy sees only the final one', () => {
    const end = network()
    const seen: number[] = []
    replaying(end.dispatch, original, new Caller(), policyOf({ inspect: ({ status }) => seen.push(status) === 0 }))
    end.sends[0]?.start().head(103).head(199).head(200)
    expect(seen).toEqual([200])
  })

  test("what dispatch returns is undici's hint, handed on", () => {
    expect(replaying(() => false, original, new Caller(), policyOf())).toBe(false)
  })

  test('an error before it reaches the caller once', () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf())
    end.sends[0]?.start().fail('reset').fail('again')
    expect([caller.error?.message, caller.told]).toEqual(['reset', ['start', 'error']])
  })

  test('T13: an error in the middle of it reaches the caller without the secret that the server has said back', () => {
    secrets.add('the-token-that-was-sent', 'token')
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf())
    end.sends[0]?.start().head(200).fail('no HTTP: the-token-that-was-sent')
    expect(caller.error?.message).toBe('no HTTP: [REDACTED:token]')
  })

  test('nothing is told after its end', () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf())
    end.sends[0]?.answer(200).fail('late')
    expect([caller.error, caller.told.at(-1)]).toEqual([undefined, ['end', { trailer: 't' }, ['raw trailer']]])
  })

  test('a handler need not have every hook', async () => {
    for (const options of [original, eventStream]) {
      for (const recover of [async () => 'pass' as const, () => Promise.reject(refused)]) {
        const end = network()
        replaying(end.dispatch, options, {}, policyOf({ recover }))
        const send = (end.sends[0] as Send).start()
        send.handler.onBodySent?.('chunk')
        send.handler.onRequestSent?.()
        send.handler.onResponseStarted?.()
        send.handler.onRequestUpgrade?.(send.controller, 101, {}, undefined as never)
        expect(() => send.head(200).data('x').end()).not.toThrow()
        replaying(end.dispatch, options, {}, policyOf({ recover }), roadOf())
        end.sends[1]?.answer(401, 'x')
        // What would be thrown now would be an unhandled rejection, which fails the run.
        await new Promise(setImmediate)
      }
    }
  })

  test('T13: what is published of a request is its origin, without a password that stands there', async () => {
    const end = network()
    const caller = new Caller()
    const policy = policyOf({ prepare: () => Promise.reject(refused) })
    replaying(end.dispatch, { ...original, origin: 'https://user:the-password@mcp.example.com' }, caller, policy)
    await caller.over.promise
    expect(heard).toEqual([['mcpauth:request:refused', expect.objectContaining({ origin: 'https://mcp.example.com' })]])
  })

  test('the request of the caller is never changed', () => {
    const end = network()
    const frozen = Object.freeze({ ...original })
    replaying(end.dispatch, frozen, new Caller(), policyOf({ prepare: (options) => ({ options, sent: 0 }) }))
    expect(end.sends[0]?.options).not.toBe(frozen)
    expect(end.sends[0]?.options).toMatchObject(frozen)
    expect(Object.getOwnPropertySymbols(frozen)).toEqual([])
  })
})

describe('a refused answer', () => {
  test('is held back, and the request goes again from its original; the caller sees one request and one answer', async () => {
    const end = network()
    const caller = new Caller()
    const recover = vi.fn(async (_answer: HeldAnswer, _sent: number, _turn: Turn) => 'again' as const)
    replaying(end.dispatch, original, caller, policyOf({ recover }))
    const next = end.next()
    const chunk = Buffer.from('refused')
    const first = (end.sends[0] as Send).start().head(401)
    first.handler.onResponseData?.(first.controller, chunk)
    // A parser writes the next piece over the last one.
    chunk.fill(0)
    first.data(' twice').end()
    const second = await next
    expect(recover).toHaveBeenCalledOnce()
    const [answer, sent] = recover.mock.calls[0] as [HeldAnswer, number, Turn]
    expect({ ...answer, body: Buffer.from(answer.body).toString(), sent }).toEqual({
      status: 401,
      headers: { 'x-status': '401' },
      statusMessage: 'text of 401',
      body: 'refused twice',
      sent: 0
    })
    expect(second.options).toMatchObject({ path: '/mcp', body: 'hello', headers: { token: 1 } })
    second.answer(200, 'fine')
    expect(caller.told).toEqual(['start', ...answerOf(200, 'fine')])
    expect(heard).toEqual([['mcpauth:request:replayed', { method: 'POST', origin: 'https://mcp.example.com', status: 401 }]])
  })

  test('without a reason phrase has none', async () => {
    const end = network()
    const seen = Promise.withResolvers<HeldAnswer>()
    const recover = async (answer: HeldAnswer): Promise<'pass'> => {
      seen.resolve(answer)
      return 'pass'
    }
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf({ recover }))
    const send = (end.sends[0] as Send).start()
    send.handler.onResponseStart?.(send.controller, 401, {})
    send.end()
    expect(Object.keys(await seen.promise)).toEqual(['status', 'headers', 'body'])
    await caller.over.promise
    expect(caller.told[1]).toEqual([401, {}, '', ['raw']])
  })

  test('that the policy lets pass reaches the caller as it came', async () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf({ recover: async () => 'pass' }))
    end.sends[0]?.start().head(401).data('a').data('b').end()
    await caller.over.promise
    expect(caller.told).toEqual(['start', [401, { 'x-status': '401' }, 'text of 401', ['raw']], 'a', 'b', ['end', {}, null]])
    expect(end.sends).toHaveLength(1)
    expect(heard).toEqual([])
  })

  test('let pass to a caller who breaks off at its head, is told nothing more', async () => {
    const end = network()
    const caller = new Caller()
    const asked = Promise.withResolvers<void>()
    caller.onHead = () => {
      caller.controller?.abort(new Error('enough'))
      asked.resolve()
    }
    replaying(end.dispatch, original, caller, policyOf({ recover: async () => 'pass' }))
    end.sends[0]?.answer(401, 'a')
    await asked.promise
    expect(caller.told).toHaveLength(2)
  })

  test('T21 is not mended for a body that is gone: a typed error', async () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, { ...original, body: new Blob(['x']).stream() }, caller, policyOf())
    end.sends[0]?.answer(401)
    await caller.over.promise
    expect(caller.error).toMatchObject({ code: 'MCPAUTH_BODY_NOT_REPLAYABLE' })
    expect(end.sends).toHaveLength(1)
  })

  test('T9 is kept up to 64 KiB; one byte more, and it is cut off and mended with what there is', async () => {
    const kept: number[] = []
    const recover = async ({ body }: HeldAnswer): Promise<'pass'> => {
      kept.push(body.byteLength)
      return 'pass'
    }
    for (const pieces of [[64 * 1024], [64 * 1024 - 1, 1], [64 * 1024, 1], [64 * 1024 + 1]]) {
      const end = network()
      const caller = new Caller()
      replaying(end.dispatch, original, caller, policyOf({ recover }))
      const send = (end.sends[0] as Send).start().head(401)
      for (const size of pieces) send.data(Buffer.alloc(size))
      if (send.controller.aborted) send.fail('aborted').data('late').end()
      else send.end()
      await caller.over.promise
      expect(send.controller.aborted).toBe(pieces.reduce((a, b) => a + b) > 64 * 1024)
      expect(caller.told.at(-1)).toEqual(['end', {}, null])
    }
    expect(kept).toEqual([64 * 1024, 64 * 1024, 64 * 1024, 0])
  })

  test('that breaks off is mended with what there is, once', async () => {
    const end = network()
    const caller = new Caller()
    const recover = vi.fn(async () => 'again' as const)
    replaying(end.dispatch, original, caller, policyOf({ recover }))
    const next = end.next()
    const first = (end.sends[0] as Send).start().head(401).data('half').fail('reset')
    ;(await next).answer(200)
    first.end()
    expect(recover).toHaveBeenCalledOnce()
    expect(caller.told).toContainEqual([200, { 'x-status': '200' }, 'text of 200', ['raw']])
  })

  test('that breaks off is over: what still comes of it is not handed on', async () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf({ recover: async () => 'pass' }))
    end.sends[0]?.start().head(401).data('half').fail('reset').data('late')
    await caller.over.promise
    expect(caller.told.slice(2)).toEqual(['half', ['end', {}, null]])
  })

  test('the caller breaks off while it is read: the connection is told, and the request ends with that', async () => {
    const end = network()
    const caller = new Caller()
    const recover = vi.fn(async () => 'again' as const)
    replaying(end.dispatch, original, caller, policyOf({ recover }))
    const send = (end.sends[0] as Send).start().head(401)
    caller.controller?.abort(new Error('gone'))
    expect(send.controller.reason).toEqual(new Error('gone'))
    send.fail('gone')
    await caller.over.promise
    expect(caller.error).toEqual(new Error('gone'))
    expect(recover).not.toHaveBeenCalled()
  })

  describe('by the clock', () => {
    beforeEach(() => void vi.useFakeTimers())
    afterEach(() => void vi.useRealTimers())

    test('T9 one that comes byte by byte is cut off after ten seconds', () => {
      const end = network()
      replaying(end.dispatch, original, new Caller(), policyOf())
      const send = (end.sends[0] as Send).start().head(401)
      vi.advanceTimersByTime(9_999)
      expect(send.controller.aborted).toBe(false)
      vi.advanceTimersByTime(1)
      expect(send.controller.aborted).toBe(true)
    })

    test('one that has ended, or whose caller has gone, leaves no timer behind', () => {
      for (const leave of ['end', 'abort']) {
        const end = network()
        const caller = new Caller()
        replaying(end.dispatch, original, caller, policyOf())
        const send = (end.sends[0] as Send).start().head(401)
        expect(vi.getTimerCount()).toBe(1)
        if (leave === 'abort') {
          caller.controller?.abort(new Error('gone'))
          send.fail('gone')
        } else send.end()
        expect(vi.getTimerCount()).toBe(0)
      }
    })
  })
})

describe('the budget', () => {
  /** Refused for ever, with the causes of a list; gives how each was answered. */
  async function refuseFor(causes: string[]): Promise<{ paid: boolean[]; sends: number }> {
    const end = network()
    const caller = new Caller()
    const paid: boolean[] = []
    const recover = async (_answer: HeldAnswer, _sent: number, turn: Turn): Promise<'again' | 'pass'> => {
      const pays = turn.spend(causes[paid.length] as string)
      paid.push(pays)
      return pays ? 'again' : 'pass'
    }
    const over = caller.over.promise.then(() => undefined)
    const dispatch: Dispatch = (options, handler) => {
      const sent = end.dispatch(options, handler)
      queueMicrotask(() => end.sends.at(-1)?.answer(401))
      return sent
    }
    replaying(dispatch, original, caller, policyOf({ recover }))
    await over
    return { paid, sends: end.sends.length }
  }

  test('T19 one cause pays once', async () => {
    expect(await refuseFor(['token', 'token'])).toEqual({ paid: [true, false], sends: 2 })
  })

  test('T19 five sends in all, whatever the causes', async () => {
    expect(await refuseFor(['a', 'b', 'c', 'd', 'e'])).toEqual({ paid: [true, true, true, true, false], sends: 5 })
  })

  test('T19 travels with the request, so that two layers share it', async () => {
    const end = network()
    const caller = new Caller()
    const paid: Array<[string, boolean]> = []
    const spending = (name: string, status: number): ReplayPolicy<number> =>
      policyOf({
        inspect: (answer) => answer.status === status,
        recover: async (_answer, _sent, turn) => {
          const pays = turn.spend('token')
          paid.push([name, pays])
          return pays ? 'again' : 'pass'
        }
      })
    const inner: Dispatch = (options, handler) => replaying(end.dispatch, options, handler, spending('inner', 401))
    replaying(inner, original, caller, spending('outer', 403))
    const next = end.next()
    end.sends[0]?.answer(401)
    ;(await next).answer(403)
    await caller.over.promise
    expect(paid).toEqual([
      ['inner', true],
      ['outer', false]
    ])
  })
})

describe('a credential that is awaited', () => {
  test('the caller has its controller meanwhile; its pause reaches the request that is then sent', async () => {
    const end = network()
    const caller = new Caller()
    const ready = Promise.withResolvers<{ options: DispatchOptions; sent: number }>()
    expect(replaying(end.dispatch, original, caller, policyOf({ prepare: () => ready.promise }))).toBe(true)
    expect([caller.told, end.sends]).toEqual([['start'], []])
    caller.controller?.pause()
    const next = end.next()
    ready.resolve({ options: { ...original }, sent: 1 })
    const send = (await next).start()
    expect(send.controller.paused).toBe(true)
    caller.controller?.resume()
    expect(send.controller.paused).toBe(false)
    send.head(200).end()
    expect(caller.told.filter((what) => what === 'start')).toHaveLength(1)
  })

  test('a caller who leaves meanwhile is told at once, its waiter is let go, and nothing is sent later', async () => {
    const end = network()
    const caller = new Caller()
    const ready = Promise.withResolvers<{ options: DispatchOptions; sent: number }>()
    let waiter: AbortSignal | undefined
    const prepare: ReplayPolicy<number>['prepare'] = (_request, signal) => {
      waiter = signal()
      return ready.promise
    }
    replaying(end.dispatch, original, caller, policyOf({ prepare }))
    caller.controller?.abort(new Error('gone'))
    caller.controller?.abort(new Error('twice'))
    expect([caller.error?.message, waiter?.aborted, waiter?.reason.message]).toEqual(['gone', true, 'gone'])
    ready.resolve({ options: { ...original }, sent: 1 })
    await ready.promise
    await Promise.resolve()
    expect(end.sends).toEqual([])
    expect(caller.told).toEqual(['start', 'error'])
  })

  test.each(['the renewal', 'the second preparation'])(
    'a caller who leaves during %s is told at once, and nothing is sent later',
    async (stage) => {
      const end = network()
      const caller = new Caller()
      const reached = Promise.withResolvers<void>()
      const renewal = Promise.withResolvers<void>()
      let preparations = 0
      let waiter: AbortSignal | undefined
      async function wait(): Promise<void> {
        reached.resolve()
        await renewal.promise
      }
      const policy = policyOf({
        prepare: (options) => {
          preparations += 1
          if (preparations === 1) return { options: { ...options }, sent: 0 }
          return wait().then(() => ({ options: { ...options }, sent: 1 }))
        },
        recover: async (_answer, _sent, turn) => {
          waiter = turn.waiter
          if (stage === 'the renewal') await wait()
          return 'again'
        }
      })
      replaying(end.dispatch, original, caller, policy)
      const first = end.sends[0] as Send
      first.answer(401)
      await reached.promise
      caller.controller?.abort(new Error('gone'))
      expect([caller.error?.message, waiter?.aborted]).toEqual(['gone', true])
      // The answer's connection is another request's by now.
      expect(first.controller.aborted).toBe(false)
      renewal.resolve()
      await new Promise(setImmediate)
      expect([end.sends.length, caller.told, heard]).toEqual([1, ['start', 'error'], []])
      expect(preparations).toBe(stage === 'the renewal' ? 1 : 2)
    }
  )

  test('a road that closes lets the waiter go', async () => {
    const closed = new AbortController()
    let waiter: AbortSignal | undefined
    const prepare: ReplayPolicy<number>['prepare'] = (_request, signal) => {
      waiter = signal()
      return new Promise(() => undefined)
    }
    replaying(() => true, original, new Caller(), policyOf({ prepare }), roadOf({ closed: closed.signal }))
    expect(waiter?.aborted).toBe(false)
    closed.abort(new Error('closed'))
    expect(waiter?.reason).toEqual(new Error('closed'))
  })
})

describe('a failure of the policy', () => {
  const failures: Array<[string, Partial<ReplayPolicy<number>>]> = [
    [
      'thrown while it prepares',
      {
        prepare: () => {
          throw refused
        }
      }
    ],
    ['rejected while it prepares', { prepare: () => Promise.reject(refused) }],
    ['rejected while it recovers', { recover: () => Promise.reject(refused) }]
  ]

  test.each(failures)('%s ends a POST with its error, which is published without more than a code', async (_when, change) => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, original, caller, policyOf(change))
    end.sends[0]?.answer(401)
    await caller.over.promise
    expect([caller.error, caller.told]).toEqual([refused, ['start', 'error']])
    expect(heard).toEqual([
      ['mcpauth:request:refused', { method: 'POST', origin: 'https://mcp.example.com', code: 'MCPAUTH_TOKEN_REFUSED' }]
    ])
  })

  test.each(failures)('%s hands a refused answer to an event stream, and its error to the road', async (_when, change) => {
    const end = network()
    const caller = new Caller()
    const told: Error[] = []
    replaying(end.dispatch, eventStream, caller, policyOf(change), roadOf({ refused: (error) => void told.push(error) }))
    end.sends[0]?.answer(401, 'refused')
    await caller.over.promise
    await Promise.resolve()
    expect([caller.error, told]).toEqual([undefined, [refused]])
    const [, head, body] = caller.told as [string, [number, Record<string, string>, string, Buffer[]], string]
    if (end.sends.length > 0) expect([head, body]).toEqual([[401, { 'x-status': '401' }, 'text of 401', ['raw']], 'refused'])
    else {
      // Never sent: a 401 of our own, which says so, in both forms that undici's fetch reads.
      const text = 'MCPAUTH_TOKEN_REFUSED: no token helps'
      const headers = {
        'content-type': 'text/plain; charset=utf-8',
        'content-length': String(text.length),
        'x-mcpauth-error': 'MCPAUTH_TOKEN_REFUSED'
      }
      expect([head.slice(0, 3), body]).toEqual([[401, headers, 'Unauthorized'], text])
      expect(head[3].map(String)).toEqual(Object.entries(headers).flat())
    }
  })

  test('hands a refused answer to an event stream where there is no road, and nothing is left unhandled', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, eventStream, caller, policyOf({ recover: () => Promise.reject(refused) }))
    end.sends[0]?.answer(401, 'refused')
    await caller.over.promise
    await new Promise((resolve) => setImmediate(resolve))
    process.removeListener('unhandledRejection', unhandled)
    expect([caller.error, caller.told.at(-2), unhandled.mock.calls]).toEqual([undefined, 'refused', []])
  })

  test.each<[string, Partial<DispatchOptions>]>([
    ['a POST', { method: 'POST' }],
    ['a GET that takes JSON too', { headers: { accept: 'application/json, text/event-stream' } }],
    ['a GET that says nothing', { headers: {} }]
  ])('is thrown at %s, also where an event stream would get the answer', async (_what, change) => {
    const end = network()
    const caller = new Caller()
    const told: Error[] = []
    const road = roadOf({ refused: (error) => void told.push(error) })
    replaying(end.dispatch, { ...eventStream, ...change }, caller, policyOf({ recover: () => Promise.reject(refused) }), road)
    end.sends[0]?.answer(401)
    await caller.over.promise
    expect([caller.error, told]).toEqual([refused, []])
  })

  test('that is none of ours reaches even an event stream, unpublished', async () => {
    const end = network()
    const caller = new Caller()
    replaying(end.dispatch, eventStream, caller, policyOf({ recover: () => Promise.reject(new Error('a defect')) }))
    end.sends[0]?.answer(401)
    await caller.over.promise
    expect([caller.error, heard]).toEqual([new Error('a defect'), []])
  })

  test('after its caller has gone is told to nobody', async () => {
    const end = network()
    const caller = new Caller()
    const renewal = Promise.withResolvers<never>()
    replaying(end.dispatch, original, caller, policyOf({ recover: () => renewal.promise }))
    end.sends[0]?.answer(401)
    caller.controller?.abort(new Error('gone'))
    renewal.reject(refused)
    await new Promise(setImmediate)
    expect([caller.told, heard]).toEqual([['start', 'error'], []])
  })
})
