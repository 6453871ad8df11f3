import { describe, expect, test } from 'vitest'
import { connectionsOf, listOf } from '../src/compose.ts'
import {
  authFetch,
  compose,
  type Dispatch,
  type DispatchHandler,
  describeLayer,
  type Interceptor,
  type Layer,
  type Road
} from '../src/index.ts'

const handler: DispatchHandler = { onRequestStart: () => undefined }

function layerOf(kind: Layer['kind'], server: string, sets: string[] = [], note: (step: string) => void = () => undefined): Interceptor {
  return describeLayer(
    (dispatch) => (options, h) => {
      note(`${kind} ${server}`)
      return dispatch(options, h)
    },
    { kind, server: new URL(server), sets }
  )
}

describe('compose', () => {
  test('the first listed sees the request first, and nested compositions keep the order', () => {
    const steps: string[] = []
    const named =
      (name: string): Interceptor =>
      (dispatch) =>
      (options, h) => {
        steps.push(name)
        return dispatch(options, h)
      }
    compose([named('a'), compose([named('b'), named('c')]), named('d')])(() => true)(
      { path: '/', method: 'GET', origin: 'https://a.example' },
      handler
    )
    expect(steps).toEqual(['a', 'b', 'c', 'd'])
  })

  test('several arguments in place of a list are an error: the second layer would be lost without a word', () => {
    const plain: Interceptor = (dispatch) => dispatch
    const undiciStyle = compose as (...layers: Interceptor[]) => Interceptor
    const error = { code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('layers') }
    expect(() => undiciStyle(plain, plain)).toThrow(expect.objectContaining(error))
  })

  test('with several servers, each request passes the layers of one of them, and what has no server passes layers without one', () => {
    const steps: string[] = []
    const note = (step: string): void => void steps.push(step)
    const plain: Interceptor = (dispatch) => (options, h) => {
      note('plain')
      return dispatch(options, h)
    }
    const dispatch = compose([
      layerOf('headers', 'https://a.example/mcp', [], note),
      plain,
      layerOf('credential', 'https://a.example/mcp', [], note),
      layerOf('credential', 'https://a.example/mcp/deep', [], note),
      layerOf('connection', 'https://b.example/', [], note)
    ])(() => true)
    const passed = (origin: string, path: string): string[] => {
      steps.length = 0
      dispatch({ origin, path, method: 'GET' }, handler)
      return [...steps]
    }
    expect(passed('https://a.example', '/mcp')).toEqual([
      'headers https://a.example/mcp',
      'plain',
      'credential https://a.example/mcp',
      'connection https://b.example/'
    ])
    expect(passed('https://a.example', '/mcp/deep/x')).toEqual([
      'plain',
      'credential https://a.example/mcp/deep',
      'connection https://b.example/'
    ])
    expect(passed('https://c.example', '/')).toEqual(['plain', 'connection https://b.example/'])
  })

  test.each<[string, Interceptor[]]>([
    ['a header layer behind a signature', [layerOf('signature', 'https://a.example'), layerOf('headers', 'https://a.example')]],
    ['a credential behind a signature', [layerOf('signature', 'https://a.example'), layerOf('credential', 'https://a.example')]],
    [
      'two layers that set the same header',
      [layerOf('credential', 'https://a.example', ['authorization']), layerOf('signature', 'https://a.example', ['authorization'])]
    ],
    ['a signature behind a connection', [layerOf('connection', 'https://a.example'), layerOf('signature', 'https://a.example')]]
  ])('refuses, at construction, %s', (_what, layers) => {
    expect(() => compose(layers)).toThrow(expect.objectContaining({ code: 'MCPAUTH_LAYER_CONFLICT', hint: expect.any(String) }))
    expect(() => authFetch(layers)).toThrow(expect.objectContaining({ code: 'MCPAUTH_LAYER_CONFLICT' }))
  })

  test.each<[string, Interceptor[], RegExp]>([
    ['the kinds', [layerOf('signature', 'https://a.example/mcp'), layerOf('headers', 'https://a.example/mcp')], /headers.*signature/],
    [
      'the header',
      [layerOf('credential', 'https://a.example/mcp', ['x', 'y']), layerOf('headers', 'https://a.example/mcp', ['y'])],
      /\by\b/
    ]
  ])('a conflict names its server, and %s', (_what, layers, named) => {
    expect(() => compose(layers)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(named), hint: expect.stringMatching(/headers|keep one/) })
    )
    expect(() => compose(layers)).toThrow('https://a.example/mcp')
  })

  test('takes every kind of layer for one server in the order of the road', () => {
    const kinds = ['headers', 'credential', 'signature', 'observer', 'connection'] as const
    expect(() => compose(kinds.map((kind) => layerOf(kind, 'https://a.example', [`x-${kind}`])))).not.toThrow()
  })

  test('sees through compositions: order is checked across them', () => {
    const inner = compose([layerOf('signature', 'https://a.example')])
    expect(() => compose([inner, compose([layerOf('headers', 'https://a.example')])])).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_LAYER_CONFLICT' })
    )
  })

  test('of one server, leads every request past every layer: they are bound themselves', () => {
    const steps: string[] = []
    const note = (step: string): void => void steps.push(step)
    const layers = [layerOf('credential', 'https://a.example/mcp', [], note), layerOf('connection', 'https://b.example/', [], note)]
    compose(layers)(() => true)({ origin: 'https://c.example', path: '/', method: 'GET' }, handler)
    expect(steps).toEqual(['credential https://a.example/mcp', 'connection https://b.example/'])
  })

  test('of several servers, binds them to their paths unless the road is one of an origin, and takes what a layer took: http too', () => {
    const steps: string[] = []
    const note = (step: string): void => void steps.push(step)
    const composed = compose([layerOf('headers', 'http://a.internal/mcp', [], note), layerOf('headers', 'https://b.example/mcp', [], note)])
    const passed = (bind?: 'path' | 'origin'): string[] => {
      steps.length = 0
      const road = bind && { network: () => true, closed: new AbortController().signal, bind }
      composed(() => true, road)({ origin: 'http://a.internal', path: '/messages', method: 'POST' }, handler)
      return [...steps]
    }
    expect([passed(), passed('path'), passed('origin')]).toEqual([[], [], ['headers http://a.internal/mcp']])
  })

  test('N26: of servers that differ in their query alone, each request passes the layers of the one with its own', () => {
    const steps: string[] = []
    const servers = ['/mcp?account=b', '/mcp?account=a', '/mcp', '/mcp/inner', '/mcp/inner?account=c'].map(
      (path) => `https://a.example${path}`
    )
    const dispatch = compose(servers.map((server) => layerOf('credential', server, [], (step) => steps.push(step.slice(28)))))(() => true)
    const led = (path: string): string => {
      steps.length = 0
      dispatch({ path, method: 'POST', origin: 'https://a.example' }, handler)
      return steps.join()
    }
    expect(['/mcp?account=a', '/mcp?account=b', '/mcp', '/mcp?', '/mcp?account=c', '/mcp/x?account=a'].map(led)).toEqual([
      '/mcp?account=a',
      '/mcp?account=b',
      '/mcp',
      '/mcp',
      '/mcp',
      '/mcp?account=a'
    ])
    // A longer path counts for more than a query.
    expect(['/mcp/inner?account=a', '/mcp/inner?account=c', '/mcp/inner'].map(led)).toEqual([
      '/mcp/inner',
      '/mcp/inner?account=c',
      '/mcp/inner'
    ])
  })

  test('a request without an origin belongs to no server', () => {
    const steps: string[] = []
    const note = (step: string): void => void steps.push(step)
    const composed = compose(['https://a.example', 'https://b.example'].map((server) => layerOf('headers', server, [], note)))
    expect(composed(() => true)({ path: '/', method: 'GET' }, handler)).toBe(true)
    expect(steps).toEqual([])
  })

  test('one interceptor needs no list', () => {
    const one = layerOf('headers', 'https://a.example')
    expect(listOf(compose(one))).toEqual([one])
  })

  test('the layers that own connections are found among the others, for the requests to authorization servers', () => {
    const plain: Interceptor = (dispatch) => dispatch
    const connection = layerOf('connection', 'https://a.example')
    expect(
      connectionsOf([plain, layerOf('credential', 'https://a.example'), connection, layerOf('observer', 'https://a.example')])
    ).toEqual([connection])
  })

  test('takes the same order for two different servers', () => {
    expect(() => compose([layerOf('signature', 'https://a.example'), layerOf('headers', 'https://b.example')])).not.toThrow()
  })

  test('refuses what is no interceptor, and says which', () => {
    expect(() => compose([layerOf('headers', 'https://a.example'), {} as Interceptor])).toThrow(/layers\[1\]/)
    for (const none of [undefined, null, {}, 'x'])
      expect(() => compose(none as unknown as Interceptor)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
  })
})

describe('describeLayer', () => {
  test('refuses handlers of another undici instead of hanging', () => {
    const dispatch = layerOf('headers', 'https://a.example')(() => true)
    expect(() => dispatch({ path: '/', method: 'GET' }, { onConnect: () => undefined } as DispatchHandler)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_UNSUPPORTED_RUNTIME' })
    )
  })

  test("drops the origin that undici 8's compose passes where a road is expected", () => {
    let given: unknown = 'nothing'
    const interceptor = describeLayer(
      (dispatch, road) => {
        given = road
        return dispatch
      },
      { kind: 'headers', server: new URL('https://a.example'), sets: [] }
    )
    const call = interceptor as (dispatch: Dispatch, road: unknown) => Dispatch
    for (const none of ['https://a.example', new URL('https://a.example'), null, undefined]) {
      given = 'nothing'
      call(() => true, none)
      expect(given).toBeUndefined()
    }
    const road: Road = { network: () => true, closed: new AbortController().signal, bind: 'path' }
    call(() => true, road)
    expect(given).toBe(road)
  })
})
