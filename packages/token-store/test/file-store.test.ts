import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { StoreKey, TokenRecord } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { type FileStoreOptions, fileLock, fileStore, storeFileName } from '../src/index.ts'
import { startChild } from './processes/child.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { eventsOn } from './warnings.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const name = storeFileName(key)
const options = { deadlineMs: 5_000 }
const isRoot = process.geteuid?.() === 0
const nobody = 65534

const write = (root: string, record: TokenRecord, more: FileStoreOptions = {}): Promise<void> =>
  fileStore({ root, ...more }).transact(key, (held) => held.write(record), options)
const modeOf = (path: string): string => (lstatSync(path).mode & 0o777).toString(8)

test('the cache is one file per server, private, beside its guard and the last holder’s word; nothing else stays', async () => {
  const root = join(temporaryFolder(), 'a', 'b')
  await write(root, { access_token: 'a', refresh_token: 'r' })
  expect(readdirSync(root).sort()).toEqual([`${name}.guard`, `${name}.json`, `${name}.owner`])
  for (const file of readdirSync(root)) expect(modeOf(join(root, file))).toBe('600')
  expect(modeOf(root)).toBe('700')
  expect(JSON.parse(readFileSync(join(root, `${name}.json`), 'utf8'))).toMatchObject({ access_token: 'a', version: 1, server_url: key.url })
})

test('MCPAUTH_AUTH_DIR names the folder, an option stands before it, and without either it is in the home folder', () => {
  expect(fileLock({ env: { MCPAUTH_AUTH_DIR: '/from/env' } }).root).toBe('/from/env')
  expect(fileLock({ env: { MCPAUTH_AUTH_DIR: '/from/env' }, root: '/from/option' }).root).toBe('/from/option')
  expect(fileLock({ env: { MCPAUTH_AUTH_DIR: '' } }).root).toBe(join(homedir(), '.mcpauth', 'auth'))
  expect(() => fileLock({ root: '' })).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
})

test('a store may keep its lock in another folder', async () => {
  const [root, locks] = [temporaryFolder(), temporaryFolder()]
  await write(root, { access_token: 'a' }, { lock: fileLock({ root: locks }) })
  expect(readdirSync(root)).toEqual([`${name}.json`])
  expect(readdirSync(locks).sort()).toEqual([`${name}.guard`, `${name}.owner`])
})

test('a record that another tool wrote with the first six fields alone is used', async () => {
  const root = temporaryFolder()
  const record = {
    access_token: 'a',
    refresh_token: 'r',
    token_type: 'Bearer',
    scope: 'mcp:read',
    expires_at_unix: 1_700_000_000,
    last_refreshed: '2026-05-15T00:00:00Z'
  }
  writeFileSync(join(root, `${name}.json`), JSON.stringify(record), { mode: 0o600 })
  expect(await fileStore({ root }).read(key)).toEqual(record)
})

test('a record of a newer version is neither read nor overwritten', async () => {
  const root = temporaryFolder()
  const newer = '{"version":2,"tokens":["in another form"]}'
  writeFileSync(join(root, `${name}.json`), newer, { mode: 0o600 })
  await expect(fileStore({ root }).read(key)).rejects.toMatchObject({
    code: 'MCPAUTH_STORE_NEWER',
    hint: expect.stringContaining('update')
  })
  await expect(write(root, { access_token: 'a' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_NEWER' })
  expect(readFileSync(join(root, `${name}.json`), 'utf8')).toBe(newer)
})

test('T12: a damaged file is moved aside with a warning that quotes nothing, and the next login writes a new one', async () => {
  const root = temporaryFolder()
  const warnings = eventsOn('mcpauth:store:warning')
  writeFileSync(join(root, `${name}.json`), '{"access_token":"canary-in-damage', { mode: 0o600 })
  const store = fileStore({ root })
  expect(await store.read(key)).toBeUndefined()
  expect(readFileSync(join(root, `${name}.json.damaged`), 'utf8')).toBe('{"access_token":"canary-in-damage')
  expect(warnings).toEqual([expect.objectContaining({ problem: 'damaged', reason: 'is not JSON in UTF-8' })])
  expect(JSON.stringify(warnings)).not.toContain('canary')
  await store.transact(key, (held) => held.write({ access_token: 'new' }), options)
  expect(await store.read(key)).toMatchObject({ access_token: 'new' })
})

test('T12: a record of another server is not used, and not overwritten either', async () => {
  const root = temporaryFolder()
  const foreign = JSON.stringify({ access_token: 'foreign', server_url: 'https://other.example/mcp' })
  writeFileSync(join(root, `${name}.json`), foreign, { mode: 0o600 })
  await write(root, { access_token: 'own' })
  expect(await fileStore({ root }).read(key)).toMatchObject({ access_token: 'own' })
  expect(readFileSync(join(root, `${name}.json.damaged`), 'utf8')).toBe(foreign)
})

test('T12: a file of many megabytes is not read into memory', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, `${name}.json`), '', { mode: 0o600 })
  execFileSync('truncate', ['-s', '8G', join(root, `${name}.json`)])
  const before = process.memoryUsage().arrayBuffers
  expect(await fileStore({ root }).read(key)).toBeUndefined()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
})

test('list passes over what is damaged, newer, unbound or under a wrong name', async () => {
  const root = temporaryFolder()
  await write(root, { access_token: 'a' })
  const put = (digit: string, text: string): void => writeFileSync(join(root, `${digit.repeat(64)}.json`), text, { mode: 0o600 })
  put('0', '{')
  put('1', '{"version":9,"access_token":"a","server_url":"https://x.example"}')
  put('2', '{"access_token":"a"}')
  put('3', '{"access_token":"a","server_url":"https://y.example"}')
  expect(await fileStore({ root }).list()).toEqual([key])
})

describe('T11: what could be planted', () => {
  /** A victim's file, and a link to it at one of the store's names. */
  function plant(root: string, extension: string): string {
    const target = join(temporaryFolder(), 'target')
    writeFileSync(target, 'the victim’s file', { mode: 0o644 })
    symlinkSync(target, join(root, `${name}.${extension}`))
    return target
  }

  test.each(['json', 'lock', 'guard'])('T11: a symbolic link at .%s is refused and its target unchanged', async (extension) => {
    const root = temporaryFolder()
    const target = plant(root, extension)
    await expect(write(root, { access_token: 'a' })).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNSAFE',
      message: expect.stringContaining('symbolic link'),
      hint: expect.any(String)
    })
    expect(readFileSync(target, 'utf8')).toBe('the victim’s file')
    expect(modeOf(target)).toBe('644')
    expect(lstatSync(join(root, `${name}.${extension}`)).isSymbolicLink()).toBe(true)
  })

  test('T11: a symbolic link at .owner is replaced and its target unchanged', async () => {
    const root = temporaryFolder()
    const target = plant(root, 'owner')
    await write(root, { access_token: 'a' })
    expect(readFileSync(target, 'utf8')).toBe('the victim’s file')
    expect(lstatSync(join(root, `${name}.owner`)).isFile()).toBe(true)
  })

  test('T11: reading through a symbolic link is refused', async () => {
    const root = temporaryFolder()
    plant(root, 'json')
    await expect(fileStore({ root }).read(key)).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
  })

  test('T11: temporary files have names that nobody can guess and are never opened through a link or a second time', async () => {
    const { createNew, temporaryName } = await import('../src/private-file.ts')
    const root = temporaryFolder()
    expect(temporaryName(root)).not.toBe(temporaryName(root))
    expect(temporaryName('x')).toMatch(/^x\.[0-9a-f-]{36}\.tmp$/)
    const { openSync } = await import('node:fs')
    const target = join(root, 'target')
    symlinkSync(target, join(root, 'link'))
    expect(() => openSync(join(root, 'link'), createNew, 0o600)).toThrow('EEXIST')
    expect(existsSync(target)).toBe(false)
  })

  test.each(['json', 'guard'])('T11: a folder or a named pipe at .%s is refused without hanging', async (extension) => {
    const root = temporaryFolder()
    const path = join(root, `${name}.${extension}`)
    mkdirSync(path)
    await expect(write(root, { access_token: 'a' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
    const other = temporaryFolder()
    execFileSync('mkfifo', ['-m', '600', join(other, `${name}.${extension}`)])
    await expect(write(other, { access_token: 'a' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
  })

  test('T11: with umask 000 every file is private all the same, and with umask 777 it can still be read', async () => {
    for (const umask of [0o000, 0o777]) {
      const root = join(temporaryFolder(), 'made')
      // With umask 777 a folder could not be entered by any other user than root; it is the files that are looked at.
      if (umask === 0o777) mkdirSync(root, { mode: 0o700 })
      const child = startChild({ root, key, action: 'write', umask })
      await child.said('done')
      await child.ended
      expect(modeOf(root)).toBe('700')
      for (const file of [`${name}.json`, `${name}.guard`]) expect(modeOf(join(root, file)), file).toBe('600')
    }
  })

  test('T11: a file that others can read is tightened with a warning', async () => {
    const root = temporaryFolder()
    const warnings = eventsOn('mcpauth:store:warning')
    writeFileSync(join(root, `${name}.json`), '{"access_token":"a"}')
    chmodSync(join(root, `${name}.json`), 0o644)
    expect(await fileStore({ root }).read(key)).toEqual({ access_token: 'a' })
    expect(modeOf(join(root, `${name}.json`))).toBe('600')
    expect(warnings).toEqual([expect.objectContaining({ problem: 'wide-mode', mode: '644', tightened: true })])
  })

  test('T11: a folder that others can write is tightened with a warning', async () => {
    const root = temporaryFolder()
    chmodSync(root, 0o777)
    const warnings = eventsOn('mcpauth:store:warning')
    await write(root, { access_token: 'a' })
    expect(modeOf(root)).toBe('700')
    expect(warnings).toEqual([expect.objectContaining({ problem: 'wide-mode', path: root, mode: '777' })])
  })

  test('T11 a folder that is there for everybody, like /tmp, is refused and left as it is, also by root', async () => {
    const root = temporaryFolder()
    chmodSync(root, 0o1777)
    await expect(write(root, { access_token: 'a' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
    expect(lstatSync(root).mode & 0o7777).toBe(0o1777)
    expect(readdirSync(root)).toEqual([])
  })

  describe.skipIf(!isRoot)('as root, who can give files away', () => {
    test('T11: a file of another user is refused', async () => {
      const root = temporaryFolder()
      writeFileSync(join(root, `${name}.json`), '{"access_token":"planted"}', { mode: 0o600 })
      chownSync(join(root, `${name}.json`), nobody, nobody)
      await expect(fileStore({ root }).read(key)).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
      await expect(write(root, { access_token: 'a' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
    })

    test('T11: a guard or a folder of another user is refused', async () => {
      const root = temporaryFolder()
      await write(root, { access_token: 'a' })
      chownSync(join(root, `${name}.guard`), nobody, nobody)
      await expect(write(root, { access_token: 'b' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
      const foreign = temporaryFolder()
      chownSync(foreign, nobody, nobody)
      await expect(write(foreign, { access_token: 'b' })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
    })

    test('T11: a mounted secret, which belongs to root, is read by another user; writing says what to do', async () => {
      const folder = temporaryFolder()
      chmodSync(folder, 0o755)
      const root = join(folder, 'mounted')
      mkdirSync(root)
      chmodSync(root, 0o755)
      writeFileSync(join(root, `${name}.json`), '{"access_token":"mounted"}', { mode: 0o644 })
      const reader = startChild({ root, key, action: 'read', uid: nobody })
      expect(await reader.said('record')).toMatchObject({ record: { access_token: 'mounted' } })
      const writer = startChild({ root, key, action: 'write', uid: nobody })
      expect(await writer.said('failed')).toMatchObject({
        code: 'MCPAUTH_STORE_UNAVAILABLE',
        hint: expect.stringContaining('MCPAUTH_AUTH_DIR')
      })
      expect(readFileSync(join(root, `${name}.json`), 'utf8')).toBe('{"access_token":"mounted"}')
    })

    test('T11: a volume that everybody may write, as containers have it, is refused with the name of a folder that will do', async () => {
      const volume = temporaryFolder()
      chmodSync(volume, 0o777)
      const refused = await startChild({ root: volume, key, action: 'write', uid: nobody }).said('failed')
      expect(refused).toMatchObject({
        code: 'MCPAUTH_STORE_UNSAFE',
        hint: expect.stringContaining(`MCPAUTH_AUTH_DIR, for instance ${volume}/mcpauth`)
      })
      await startChild({ root: join(volume, 'mcpauth'), key, action: 'write', uid: nobody }).said('done')
      expect(readdirSync(join(volume, 'mcpauth'))).toContain(`${name}.json`)
    })

    test('T8: without permission to the home folder, reading is absent or typed and writing is typed', async () => {
      const home = join(temporaryFolder(), 'home')
      mkdirSync(home, { mode: 0o700 })
      const env = { HOME: home, MCPAUTH_AUTH_DIR: '' }
      const reader = startChild({ key, action: 'read', uid: nobody }, { env })
      expect(await Promise.race([reader.said('failed'), reader.said('record')])).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
      const writer = startChild({ key, action: 'write', uid: nobody }, { env })
      expect(await writer.said('failed')).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.any(String) })
    })
  })

  test('a user without a home folder reads nothing and is told what to do when something must be written', async () => {
    const env = { HOME: '', MCPAUTH_AUTH_DIR: '' }
    const reader = startChild({ key, action: 'read' }, { env })
    expect(await reader.said('record')).not.toHaveProperty('record')
    const writer = startChild({ key, action: 'write' }, { env })
    expect(await writer.said('failed')).toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      hint: expect.stringContaining('MCPAUTH_AUTH_DIR')
    })
  })
})

describe('T8: a disk that fails', () => {
  const failing = (code: string): FileStoreOptions => ({
    probe: { replaceFile: () => Promise.reject(Object.assign(new Error(code), { code })) }
  })

  test.each(['ENOSPC', 'EROFS', 'EACCES', 'EDQUOT', 'EIO'])(
    'T8: %s at the write is a typed error and an event; what was on disk stays',
    async (code) => {
      const root = temporaryFolder()
      const warnings = eventsOn('mcpauth:store:warning')
      await write(root, { access_token: 'old', refresh_token: 'r', generation: 1 })
      await expect(write(root, { access_token: 'new', generation: 2 }, failing(code))).rejects.toMatchObject({
        code: 'MCPAUTH_STORE_UNAVAILABLE',
        message: expect.stringContaining(code),
        hint: expect.any(String)
      })
      expect(warnings).toEqual([expect.objectContaining({ problem: 'write-failed', code })])
      expect(await fileStore({ root }).read(key)).toMatchObject({ access_token: 'old', generation: 1 })
      await write(root, { access_token: 'new', generation: 2 })
    }
  )

  test('T8: a real limit on the size of files leaves the old record whole and no temporary file', async () => {
    const root = temporaryFolder()
    await write(root, { access_token: 'old', refresh_token: 'r', generation: 1 })
    const script = `
      import { fileStore } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
      const store = fileStore({ root: ${JSON.stringify(root)} })
      await store.transact(${JSON.stringify(key)}, (held) => held.write({ access_token: 'x'.repeat(100_000) }), { deadlineMs: 5000 })
        .catch((error) => console.log(error.code, error.message, error.hint))`
    // One unit is 512 or 1024 bytes; SIGXFSZ is ignored so that the write fails in place of the process.
    const command = `trap '' XFSZ; ulimit -f 4; exec "$0" --input-type=module -e "$1"`
    const said = execFileSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' })
    expect(said).toMatch(/MCPAUTH_STORE_UNAVAILABLE .*EFBIG.* raise it/)
    expect(await fileStore({ root }).read(key)).toMatchObject({ access_token: 'old', generation: 1 })
    expect(readdirSync(root).filter((file) => file.endsWith('.tmp'))).toEqual([])
  })
})

test('T18: a process that was refused generation 1 does not delete the generation 2 that another one wrote meanwhile', async () => {
  const root = temporaryFolder()
  await write(root, { access_token: 'old', refresh_token: 'r1', generation: 1 })
  const winner = startChild({ root, key, action: 'count', fault: { point: 'working', and: 'wait' } })
  await winner.said('at')
  const loser = startChild({ root, key, action: 'clear-generation', generation: 1 })
  await loser.said('ready')
  loser.say('go')
  winner.say('go')
  expect(await loser.said('seen')).toMatchObject({ generation: 2 })
  await Promise.all([winner.ended, loser.ended])
  expect(await fileStore({ root }).read(key)).toMatchObject({ access_token: 'token', generation: 2 })
})

test('T17: a wall clock that jumps by an hour or a day while a lock is held loses no lock and no write', async () => {
  for (const jumpMs of [3_600_000, -3_600_000, 86_400_000, -86_400_000]) {
    const root = temporaryFolder()
    let offsetMs = 0
    const now = (): number => Date.now() + offsetMs
    const store = fileStore({ root, now, updateMs: 10 })
    const lost = await store.transact(
      key,
      async (held) => {
        const timeMs = (): number => lstatSync(join(root, `${name}.lock`)).mtimeMs
        const beforeMs = timeMs()
        offsetMs = jumpMs
        // Until the heartbeat has written the jump down.
        while (Math.abs(timeMs() - beforeMs - jumpMs) > 60_000) await new Promise((resolve) => setImmediate(resolve))
        await held.write({ access_token: 'a', generation: 2 })
        return held.lost.aborted
      },
      options
    )
    expect(lost).toBe(false)
    expect(await store.read(key)).toMatchObject({ generation: 2 })
    // Another process with the right clock neither waits for the future nor mistrusts the past.
    await write(root, { access_token: 'b', generation: 3 })
  }
})

test('a hard link to the guard does not change whom it excludes', async () => {
  const root = temporaryFolder()
  await write(root, { access_token: 'a' })
  linkSync(join(root, `${name}.guard`), join(root, 'copy'))
  await write(root, { access_token: 'b' })
})
