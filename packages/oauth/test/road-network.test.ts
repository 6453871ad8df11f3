import type { Dispatch, DispatchOptions, Road } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { type AddressGuard, addressGuard } from '../src/address-guard.ts'
import { roadNetwork } from '../src/road-network.ts'

const guardOf = (host: string): AddressGuard => addressGuard({ server: new URL(`https://${host}/mcp`) })
const guard = guardOf('mcp.example.com')
const options = { origin: 'https://as.example.com', path: '/token', method: 'POST' } as DispatchOptions
const handler = {}

/** Ways out of this program, and which of them was taken, in order. */
function ways() {
  const taken: string[] = []
  const way =
    (name: string): Dispatch =>
    (given, by) => {
      expect([given, by]).toEqual([options, handler])
      taken.push(name)
      return false
    }
  return { taken, way }
}

/** A road whose end is this way. */
function roadTo(network: Dispatch, networkOver?: Road['networkOver']) {
  const closing = new AbortController()
  const road: Road = { network, closed: closing.signal, bind: 'path', ...(networkOver ? { networkOver } : {}) }
  return { road, close: () => closing.abort() }
}

test('requests to authorization servers leave by the newest road that is open, and before and after all roads by the user’s dispatcher', () => {
  const { taken, way } = ways()
  // A dispatcher is an object of a class: its method is called on it.
  const dispatcher = {
    own: way('dispatcher'),
    dispatch(given: DispatchOptions, by: object): boolean {
      return this.own(given, by)
    }
  }
  const network = roadNetwork(dispatcher)
  const [first, second, third] = [roadTo(way('first')), roadTo(way('second')), roadTo(way('third'))]
  const send = (): boolean => network.now(guard)(options, handler)
  expect(send()).toBe(false)
  network.attach(first.road)
  send()
  network.attach(second.road)
  send()
  second.close()
  send()
  network.attach(third.road)
  send()
  third.close()
  send()
  first.close()
  send()
  expect(taken).toEqual(['dispatcher', 'first', 'second', 'first', 'third', 'first', 'dispatcher'])
})

test('N34: where nobody chose a dispatcher, each guard has one end of its own on each road, which stays', () => {
  const ends: Dispatch[] = []
  const open = () =>
    roadTo(
      () => expect.unreachable(),
      (end) => {
        ends.push(end)
        return (given, by) => end(given, by)
      }
    ).road
  const network = roadNetwork(undefined)
  const other = guardOf('other.example.com')
  const alone = network.now(guard)
  expect(network.now(guard)).toBe(alone)
  expect(network.now(other)).not.toBe(alone)
  expect(ends).toHaveLength(0)
  network.attach(open())
  const onRoad = network.now(guard)
  expect(onRoad).not.toBe(alone)
  expect([network.now(guard), network.now(guard)]).toEqual([onRoad, onRoad])
  expect(ends).toHaveLength(1)
  expect(network.now(other)).not.toBe(onRoad)
  expect(ends).toHaveLength(2)
  network.attach(open())
  expect(network.now(guard)).not.toBe(onRoad)
  expect(ends).toHaveLength(3)
})
