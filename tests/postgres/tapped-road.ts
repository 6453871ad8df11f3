import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP road to a server that can go wrong. */
export interface TappedRoad extends AsyncDisposable {
  readonly port: number
  /** From now on nothing comes through in either direction, and nobody is told: what a machine that lost its power looks like. */
  swallow(): void
  /** Lets the next chunk that holds `text` pass, and cuts the connection when the server answers it. */
  cutAfter(text: string): void
}

/** Opens a road to a port of this machine. */
export async function tapRoad(target: number): Promise<TappedRoad> {
  const sockets = new Set<Socket>()
  let swallowing = false
  let cutText: string | undefined
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    let cutting = false
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    near.on('data', (chunk) => {
      if (swallowing) return
      if (cutText !== undefined && chunk.includes(cutText)) {
        cutting = true
        cutText = undefined
      }
      far.write(chunk)
    })
    far.on('data', (chunk) => {
      if (swallowing) return
      if (!cutting) near.write(chunk)
      else for (const socket of [near, far]) socket.destroy()
    })
    near.on('close', () => far.destroy())
    far.on('close', () => swallowing || near.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    swallow() {
      swallowing = true
    },
    cutAfter(text) {
      cutText = text
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
