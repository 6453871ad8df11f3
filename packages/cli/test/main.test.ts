import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const main = resolve(import.meta.dirname, '../src/main.ts')

test.each(['18.19.0', '20.20.2', '22.18.9'])('on Node %s it says in one sentence what it needs, before anything is loaded', (version) => {
  const pretend = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', pretend, main, 'status'], { encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toBe(`mcpauth needs Node 22.19 or newer; this is ${version}. Get a newer one from https://nodejs.org\n`)
})
