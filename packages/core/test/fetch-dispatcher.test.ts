import { expect, onTestFinished, test, vi } from 'vitest'
import {
  type DispatchController,
  type DispatcherLike,
  type DispatchHandler,
  type DispatchOptions,
  type FetchLike,
  fetchDispatcher
} from '../src/index.ts'

const get: DispatchOptions = { origin: 'https://mcp.example.com', path: '/mcp?a=1', method: 'GET' }
const post: DispatchOptions = { ...get, method: 'POST' }
const gone = new Error('gone')

/** Everything a handler is told of one request, in order: `start`, `sent`, then the answer. */
type Told = unknown[]

const send = (fetch: FetchLike, options: DispatchOptions, also?: DispatchHandler): Promise<Told> =>
  sendBy(fetchDispatcher(fetch), options, also)

/** Sends a request; resolves at its end. `also` runs after each hook has written down what it was told. */
function sendBy(dispatcher: DispatcherLike, options: DispatchOptions, also: DispatchHandler = {}): Promise<Told> {
  const told: Told = []
  return new Promise((resolve) => {
    const handler: DispatchHandler = {
      onRequestStart(controller, context) {
        told.push('start')
        also.onRequestStart?.(controller, context)
      },
      onRequestSent() {
        told.push('sent')
      },
      onResponseStart(controller, status, headers, text) {
        told.push([status, text, headers])
        also.onResponseStart?.(controller, status, headers, text)
      },
      onResponseData(controller, chunk) {
        told.push(controller.paused ? 'data while paused' : Buffer.from(chunk).toString())
        also.onResponseData?.(controller, chunk)
      },
      onResponseEnd(controller, trailers) {
        told.push('end')
        also.onResponseEnd?.(controller, trailers)
        resolve(told)
      },
      onResponseError(_controller, error) {
        told.push(error)
        resolve(told)
      }
    }
    expect(dispatcher.dispatch(options, handler)).toBe(true)
  })
}

/** The request that a fetch is asked to send, as fetch itself understands it. */
async function requestFor(options: DispatchOptions): Promise<Request> {
  const asked = Promise.withResolvers<Request>()
  const told = await send(async (url, init) => {
    asked.resolve(new Request(url, init))
    return new Response(null, { status: 204 })
  }, options)
  expect(told.at(-1)).toBe('end')
  return asked.promise
}

const answering =
  (body: ConstructorParameters<typeof Response>[0], init?: ResponseInit): FetchLike =>
  async () =>
    new Response(body, init)

function streamOf(...chunks: string[]): ReadableStream<Uint8Array> {
  return ReadableStream.from(chunks.map((chunk) => Buffer.from(chunk)))
}

test('without a fetch of its own, a request leaves through the global one of that time', async () => {
  const dispatched = fetchDispatcher()
  vi.stubGlobal('fetch', async (url: URL, init: RequestInit) => new Response(`${init.method} ${url}`))
  onTestFinished(() => void vi.unstubAllGlobals())
  expect(await sendBy(dispatched, get)).toContain('GET https://mcp.example.com/mcp?a=1')
})

test('an answer is told in order, its body piece by piece and without empty pieces; a body of nothing has none', async () => {
  expect(await send(answering(streamOf('one', '', 'two'), { status: 201, statusText: 'Made', headers: { 'x-a': '1' } }), get)).toEqual([
    'start',
    'sent',
    [201, 'Made', { 'x-a': '1' }],
    'one',
    'two',
    'end'
  ])
  expect(await send(answering(null, { status: 204, statusText: 'Nothing' }), get)).toEqual(['start', 'sent', [204, 'Nothing', {}], 'end'])
})

test.each<keyof DispatchHandler>(['onRequestStart', 'onRequestSent', 'onResponseStart', 'onResponseData', 'onResponseEnd'])(
  'a handler may do without %s',
  async (left) => {
    const failed = vi.fn()
    await new Promise<void>((resolve) => {
      const last = left === 'onResponseEnd' ? 'onResponseData' : 'onResponseEnd'
      const handler: DispatchHandler = { [last]: resolve, onResponseError: failed.mockImplementation(resolve) }
      fetchDispatcher(answering('body')).dispatch(get, handler)
    })
    await new Promise(setImmediate)
    expect(failed).not.toHaveBeenCalled()
  }
)

test('a failure that a handler does not want to know of does not end the program', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => void process.off('unhandledRejection', unhandled))
  await new Promise<void>((resolve) => {
    fetchDispatcher(async () => {
      resolve()
      throw gone
    }).dispatch(get, {})
  })
  await new Promise(setImmediate)
  expect(unhandled).not.toHaveBeenCalled()
})

test('what fetch throws, and what breaks a body off, is the error of the request', async () => {
  const refusing: FetchLike = async () => {
    throw gone
  }
  expect(await send(refusing, get)).toEqual(['start', gone])
  const breaking = new ReadableStream({ pull: (stream) => stream.error(gone) })
  expect(await send(answering(breaking), get)).toEqual(['start', 'sent', [200, '', {}], gone])
})

test('a request goes to its URL, with its method and all its headers but those that fetch sets itself', async () => {
  const headers = {
    host: 'other.example',
    Connection: 'close',
    'Content-Length': '0',
    'transfer-encoding': 'chunked',
    Authorization: 'Bearer a',
    'x-many': ['1', '2'],
    'x-host': 'kept',
    'host-x': 'kept'
  }
  const request = await requestFor({ ...get, method: 'DELETE', headers })
  expect([request.method, request.url, [...request.headers]]).toEqual([
    'DELETE',
    'https://mcp.example.com/mcp?a=1',
    [
      ['authorization', 'Bearer a'],
      ['host-x', 'kept'],
      ['x-host', 'kept'],
      ['x-many', '1, 2']
    ]
  ])
})

test('T6 fetch does not follow a redirect: whether its target may have the credential is decided above the layers', async () => {
  expect((await requestFor(get)).redirect).toBe('manual')
})

test.each<[kind: string, body: () => unknown]>([
  ['a string', () => 'päyload'],
  ['bytes', () => Buffer.from('päyload')],
  ['a stream', () => streamOf('päy', 'load')]
])('a body goes with its request: %s', async (_kind, body) => {
  expect(await (await requestFor({ ...post, body: body() })).text()).toBe('päyload')
})

test.each([
  ['POST', null],
  ['POST', ''],
  ['GET', ''],
  ['GET', 'fetch would refuse it'],
  ['HEAD', 'fetch would refuse it']
])('a %s whose body is %j is sent without one', async (method, body) => {
  expect((await requestFor({ ...get, method, body })).body).toBeNull()
})

test('the headers of an answer are those of what is handed on: cookies apart, no length and no encoding of what was decoded', async () => {
  const headers: Array<[string, string]> = [
    ['content-encoding', 'gzip'],
    ['content-length', '3'],
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
    ['x-name', 'caf\u00e9']
  ]
  const raw = Promise.withResolvers<unknown>()
  const onResponseStart = (controller: DispatchController): void => raw.resolve(controller.rawHeaders)
  const told = await send(answering('abc', { headers }), get, { onResponseStart })
  expect(told).toContainEqual([200, '', { 'content-type': 'text/plain;charset=UTF-8', 'set-cookie': ['a=1', 'b=2'], 'x-name': 'café' }])
  const text = (await raw.promise) as Buffer[]
  expect(text.map((item) => item.toString('latin1'))).toEqual([
    ...['content-type', 'text/plain;charset=UTF-8'],
    ...['set-cookie', 'a=1', 'set-cookie', 'b=2'],
    ...['x-name', 'café']
  ])
})

test('a request that is aborted before it leaves never does', async () => {
  const fetch = vi.fn<FetchLike>(answering('body'))
  const told = await send(fetch, get, {
    onRequestStart(controller) {
      expect([controller.aborted, controller.reason, controller.paused]).toEqual([false, null, false])
      controller.abort(gone)
      expect([controller.aborted, controller.reason]).toEqual([true, gone])
    }
  })
  expect(told).toEqual(['start', gone])
  expect(fetch).not.toHaveBeenCalled()
})

test('an abort reaches fetch, and its reason is the error, whatever fetch makes of it', async () => {
  const waiting: FetchLike = (_url, init) =>
    new Promise((_, reject) => {
      init?.signal?.addEventListener('abort', () => reject(new Error('of fetch')))
    })
  const onRequestStart = (controller: DispatchController): unknown => setImmediate(() => controller.abort(gone))
  expect(await send(waiting, get, { onRequestStart })).toEqual(['start', gone])
})

test('an answer that comes after the abort, from a fetch that knows no signals, is given up unseen', async () => {
  const cancelled = vi.fn()
  const deaf =
    (response: Response): FetchLike =>
    async () => {
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      return response
    }
  const onRequestStart = (controller: DispatchController): unknown => setImmediate(() => controller.abort(gone))
  expect(await send(deaf(new Response(null)), get, { onRequestStart })).toEqual(['start', gone])
  expect(await send(deaf(new Response(new ReadableStream({ cancel: cancelled }))), get, { onRequestStart })).toEqual(['start', gone])
  expect(cancelled).toHaveBeenCalledOnce()
})

test('an abort while an answer comes: nothing more is told of it, and the rest of its body is given up', async () => {
  const cancelled = vi.fn()
  const long = new ReadableStream({
    start(stream) {
      for (const piece of ['one', 'two', 'three']) stream.enqueue(Buffer.from(piece))
    },
    pull: (stream) => stream.close(),
    cancel: cancelled
  })
  const abort = (controller: DispatchController): void => controller.abort(gone)
  expect(await send(answering(long), get, { onResponseData: abort })).toEqual(['start', 'sent', [200, '', {}], 'one', gone])
  expect(cancelled).toHaveBeenCalledOnce()
  expect(await send(answering('last'), get, { onResponseData: abort })).toEqual([
    'start',
    'sent',
    [200, '', expect.anything()],
    'last',
    gone
  ])
  expect(await send(answering(null), get, { onResponseStart: abort })).toEqual(['start', 'sent', [200, '', {}], gone])
})

test('a handler that pauses is told nothing until it resumes; to pause twice is to pause once', async () => {
  const body = answering(streamOf('one', 'two'))
  const told = await send(body, get, {
    onResponseStart(controller) {
      controller.resume()
      controller.pause()
      expect(controller.paused).toBe(true)
      setImmediate(() => {
        controller.pause()
        controller.resume()
        expect(controller.paused).toBe(false)
      })
    }
  })
  expect(told).toEqual(['start', 'sent', [200, '', {}], 'one', 'two', 'end'])
})

test('a paused request can be aborted', async () => {
  const told = await send(answering(streamOf('one')), get, {
    onResponseStart(controller) {
      controller.pause()
      setImmediate(() => controller.abort(gone))
    }
  })
  expect(told).toEqual(['start', 'sent', [200, '', {}], gone])
})
