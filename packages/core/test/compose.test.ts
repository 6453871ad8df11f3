import { describe, expect, test } from 'vitest'
import { authFetch, compose, type Dispatch, type DispatchHandler, describeLayer, type Interceptor, type Layer } from '../src/index.ts'

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

  test('sees through compositions: order is checked across them', () => {
    const inner = compose([layerOf('signature', 'https://a.example')])
    expect(() => compose([inner, compose([layerOf('headers', 'https://a.example')])])).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_LAYER_CONFLICT' })
    )
  })

  test('takes the same order for two different servers', () => {
    expect(() => compose([layerOf('signature', 'https://a.example'), layerOf('headers', 'https://b.example')])).not.toThrow()
  })

  test('refuses what is no interceptor, and says which', () => {
    expect(() => compose([layerOf('headers', 'https://a.example'), {} as Interceptor])).toThrow(/layers\[1\]/)
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
    ;(interceptor as (dispatch: Dispatch, origin: unknown) => Dispatch)(() => true, 'https://a.example')
    expect(given).toBeUndefined()
  })
})
