import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { browserUrl, openBrowser, openers } from '../src/open-browser.ts'

const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/authorization-endpoints.json')
const refused = expect.objectContaining({ code: 'MCPAUTH_ADDRESS_REFUSED' })

/** For each entry of the corpus, in its order: the one argument that the opener gets, or undefined: refused. */
const expected: ReadonlyArray<[endpoint: string, argument: string | undefined]> = [
  ['http://as.example/authorize', undefined],
  ['javascript:alert(1)', undefined],
  ['vbscript:x', undefined],
  ['smb://h/s', undefined],
  ['https://as.example/$(touch pwned)', 'https://as.example/$(touch%20pwned)'],
  ['https://as.example/?a=1&calc.exe', 'https://as.example/?a=1&calc.exe'],
  ['https://as.example/%0d%0acalc', 'https://as.example/%0d%0acalc'],
  ['https://as.example/#frag', undefined],
  ['https://as.example\u0000.evil', undefined],
  ['--help', undefined],
  ['https://xn--pple-43d.com/', 'https://xn--pple-43d.com/'],
  ['https://[::1%25eth0]/', undefined],
  [' https://as.example/', 'https://as.example/'],
  ['https:///as.example/', 'https://as.example/'],
  ['https://as.example/|id', 'https://as.example/|id'],
  ["https://as.example/'||id||'", "https://as.example/'||id||'"],
  ['x-apple.systempreferences:', undefined],
  [`https://as.example/${'A'.repeat(20_000)}`, undefined],
  ['', undefined],
  ['about:blank', undefined]
]

interface FakeOpener {
  env: Record<string, string>
  /** The argument vectors of every run. */
  calls(): string[][]
}

/** An opener on PATH that writes down its arguments, one NUL after each, and ends with `status`. */
function fakeOpener(name = 'xdg-open', status = 0): FakeOpener {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-opener-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const program = join(folder, name)
  const log = join(folder, 'calls.json')
  // Started by its path to node, so that a run involves no shell at all.
  writeFileSync(
    program,
    `#!${process.execPath}\nrequire('node:fs').appendFileSync(${JSON.stringify(log)}, JSON.stringify(process.env.BROWSER === undefined ? process.argv.slice(2) : ['BROWSER was handed on']) + '\\n'); process.exit(${status})\n`
  )
  chmodSync(program, 0o755)
  return {
    env: { PATH: folder, DISPLAY: ':0' },
    calls: () =>
      existsSync(log)
        ? readFileSync(log, 'utf8')
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line))
        : []
  }
}

test.skipIf(!existsSync(vectors))('the table of this file is that of the corpus', () => {
  const corpus: string[] = JSON.parse(readFileSync(vectors, 'utf8'))
  // Only the length of the long one matters.
  expect(expected.map(([endpoint]) => endpoint.slice(0, 100))).toEqual(corpus.map((endpoint) => endpoint.slice(0, 100)))
})

test.each(expected)('N35 T1: an authorization endpoint is refused or opened as exactly one argument: %j', async (endpoint, argument) => {
  const opener = fakeOpener()
  if (argument === undefined) {
    expect(() => browserUrl(endpoint)).toThrow(refused)
    if (URL.canParse(endpoint))
      await expect(openBrowser(new URL(endpoint), { env: opener.env, platform: 'linux' })).rejects.toThrow(refused)
    expect(opener.calls()).toEqual([])
  } else {
    await expect(openBrowser(browserUrl(endpoint), { env: opener.env, platform: 'linux' })).resolves.toBe(true)
    expect(opener.calls()).toEqual([[argument]])
  }
})

test('N35: http is opened only to this machine', () => {
  expect(browserUrl('http://127.0.0.1:8080/authorize?x=1').href).toBe('http://127.0.0.1:8080/authorize?x=1')
  expect(browserUrl('http://[::1]:8080/authorize').href).toBe('http://[::1]:8080/authorize')
  expect(() => browserUrl('http://127.0.0.1.evil.example/')).toThrow(refused)
  expect(() => browserUrl('as.example')).toThrow(expect.objectContaining({ message: expect.stringMatching(/: it is not a URL$/) }))
  expect(() => browserUrl('https://user:hunter2hunter2@as.example/')).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining('hunter2') })
  )
})

const href = 'https://as.example/authorize?a=1&b=2'

test.each([
  ['linux', { DISPLAY: ':0' }, [['xdg-open', href]]],
  ['linux', { WAYLAND_DISPLAY: 'wayland-0' }, [['xdg-open', href]]],
  ['linux', {}, []],
  ['darwin', {}, [['/usr/bin/open', href]]],
  ['win32', { SystemRoot: 'C:\\Windows' }, [['C:\\Windows\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', href]]],
  [
    'linux',
    { WSL_DISTRO_NAME: 'Debian' },
    [
      ['wslview', href],
      ['/mnt/c/Windows/System32/rundll32.exe', 'url.dll,FileProtocolHandler', href]
    ]
  ],
  [
    'linux',
    { BROWSER: 'firefox --new-tab:lynx --url=%s', DISPLAY: ':0' },
    [
      ['firefox', '--new-tab', href],
      ['lynx', `--url=${href}`],
      ['xdg-open', href]
    ]
  ],
  ['win32', {}, [['C:\\Windows\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', href]]],
  [
    'win32',
    { BROWSER: 'C:\\b.exe;other', SystemRoot: 'D:\\W' },
    [
      ['C:\\b.exe', href],
      ['other', href],
      ['D:\\W\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', href]
    ]
  ],
  [
    'linux',
    { WSL_DISTRO_NAME: 'Debian', DISPLAY: ':0' },
    [
      ['wslview', href],
      ['/mnt/c/Windows/System32/rundll32.exe', 'url.dll,FileProtocolHandler', href],
      ['xdg-open', href]
    ]
  ],
  ['linux', { BROWSER: ': : links  -x :' }, [['links', '-x', href]]],
  ['linux', { BROWSER: 'a %s --again=%s%s' }, [['a', href, `--again=${href}${href}`]]],
  ['darwin', { DISPLAY: ':0', WSL_DISTRO_NAME: 'Debian' }, [['/usr/bin/open', href]]]
])('T1: on %s with %j the openers are argument vectors: %j', (platform, env, vectors) => {
  expect(openers(href, env as Record<string, string>, platform)).toEqual(vectors)
})

test('a $BROWSER whose path holds a space is one program', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth opener '))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'my browser')
  writeFileSync(program, '')
  expect(openers(href, { BROWSER: program }, 'linux')).toEqual([[program, href]])
})

test('an opener that is absent, fails, or is refused by the system says that no browser was opened', async () => {
  await expect(openBrowser(new URL(href), { env: { PATH: '/nonexistent', DISPLAY: ':0' }, platform: 'linux' })).resolves.toBe(false)
  const failing = fakeOpener('xdg-open', 3)
  await expect(openBrowser(new URL(href), { env: failing.env, platform: 'linux' })).resolves.toBe(false)
  expect(failing.calls()).toEqual([[href]])
  await expect(openBrowser(new URL(href), { env: {}, platform: 'linux' })).resolves.toBe(false)
})

test('when the first of $BROWSER fails the next is tried', async () => {
  const opener = fakeOpener('second')
  await expect(openBrowser(new URL(href), { env: { ...opener.env, BROWSER: 'missing:second -x' }, platform: 'linux' })).resolves.toBe(true)
  expect(opener.calls()).toEqual([['-x', href]])
})

const strace = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0

test.skipIf(!strace)('T1: strace sees one execve of the opener with the URL as its only argument, and no shell', () => {
  const opener = fakeOpener()
  const folder = opener.env.PATH as string
  const script = join(folder, 'open.mjs')
  const trace = join(folder, 'trace')
  const hostile = "https://as.example/$(touch pwned)'||id||'?a=1&calc.exe"
  writeFileSync(
    script,
    `import { openBrowser } from ${JSON.stringify(resolve('packages/oauth/src/open-browser.ts'))}
     if (!(await openBrowser(new URL(${JSON.stringify(hostile)}), { env: ${JSON.stringify(opener.env)}, platform: 'linux' }))) process.exit(9)`
  )
  const run = spawnSync('strace', ['-f', '-s', '4096', '-e', 'trace=execve', '-o', trace, process.execPath, script], { encoding: 'utf8' })
  expect(run.stderr).toBe('')
  expect(run.status).toBe(0)
  const started = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('execve(') && line.endsWith('= 0'))
    .map((line) => /execve\("([^"]+)", \[(.*?)\], /.exec(line)?.slice(1) ?? [line])
  expect(started).toHaveLength(2)
  expect(started[1]).toEqual([join(folder, 'xdg-open'), `"xdg-open", "https://as.example/$(touch%20pwned)'||id||'?a=1&calc.exe"`])
  expect(existsSync(join(folder, 'pwned'))).toBe(false)
})

test('T1: what a URL holds is never read as a pattern of its place in $BROWSER', () => {
  const dollars = "https://as.example/?a=$&$`$'$1%s"
  expect(openers(dollars, { BROWSER: 'b --url=%s' }, 'linux')).toEqual([['b', `--url=${dollars}`]])
})

test('an opener that cannot even be started is one that failed, and the next is tried', async () => {
  const opener = fakeOpener('second')
  await expect(openBrowser(new URL(href), { env: { ...opener.env, BROWSER: 'a\u0000b:second' }, platform: 'linux' })).resolves.toBe(true)
  expect(opener.calls()).toEqual([[href]])
})

test('an opener that is still running after three seconds is a browser in the foreground', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-opener-'))
  const program = join(folder, 'browser')
  const started = join(folder, 'started')
  writeFileSync(
    program,
    `#!${process.execPath}\nrequire('node:fs').writeFileSync(${JSON.stringify(started)}, String(process.pid)); setInterval(() => {}, 1000)\n`
  )
  chmodSync(program, 0o755)
  let opened: boolean | undefined
  const opening = openBrowser(new URL(href), { env: { PATH: folder, BROWSER: 'browser' }, platform: 'linux' }).then((answer) => {
    opened = answer
  })
  const poll = (): Promise<void> => new Promise((settle) => void setImmediate(settle))
  while (!existsSync(started) || readFileSync(started, 'utf8') === '') await poll()
  onTestFinished(() => {
    process.kill(Number(readFileSync(started, 'utf8')))
    rmSync(folder, { recursive: true })
  })
  vi.advanceTimersByTime(2_999)
  await poll()
  expect(opened).toBeUndefined()
  vi.advanceTimersByTime(1)
  await opening
  expect(opened).toBe(true)
  // It outlives this program: a browser in the foreground of a terminal must not end with Ctrl-C there.
  expect(() => process.kill(-Number(readFileSync(started, 'utf8')), 0)).not.toThrow()
})

test('an opener that has ended is not waited for', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  await openBrowser(new URL(href), { env: fakeOpener().env, platform: 'linux' })
  await openBrowser(new URL(href), { env: { PATH: '/nonexistent', DISPLAY: ':0' }, platform: 'linux' })
  expect(vi.getTimerCount()).toBe(0)
})

test.each([
  ['https://as.example/', true],
  [`https://as.example/${'a'.repeat(16_384 - 19)}`, true],
  [`https://as.example/${'a'.repeat(16_384 - 18)}`, false],
  ['https://user@as.example/', false],
  ['https://:password@as.example/', false],
  ['ftp://127.0.0.1/', false],
  ['http://localhost/', true]
])('N35: %.40s is an address for a browser: %s', (url, fine) => {
  if (fine) expect(browserUrl(url).href).toBe(url)
  else expect(() => browserUrl(url)).toThrow(refused)
})

test('what an opener says is neither heard nor shown, and it is told nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-opener-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'browser')
  const log = join(folder, 'streams')
  writeFileSync(
    program,
    `#!${process.execPath}\nconst fs = require('node:fs'); fs.writeFileSync(${JSON.stringify(log)}, String([0, 1, 2].map((fd) => fs.fstatSync(fd).rdev)))\n`
  )
  chmodSync(program, 0o755)
  await openBrowser(new URL(href), { env: { BROWSER: program }, platform: 'linux' })
  const nothing = statSync('/dev/null').rdev
  expect(readFileSync(log, 'utf8')).toBe(String([nothing, nothing, nothing]))
})

test('an opener has no console window on Windows, and this program does not wait for its end', async () => {
  const processes = createRequire(import.meta.url)('node:child_process') as typeof import('node:child_process')
  const spawn = vi.spyOn(processes, 'spawn')
  const unref = vi.spyOn(processes.ChildProcess.prototype, 'unref')
  syncBuiltinESMExports()
  onTestFinished(() => {
    spawn.mockRestore()
    unref.mockRestore()
    syncBuiltinESMExports()
  })
  await openBrowser(new URL(href), { env: fakeOpener().env, platform: 'linux' })
  expect(spawn).toHaveBeenCalledWith('xdg-open', [href], expect.objectContaining({ windowsHide: true }))
  expect(unref).toHaveBeenCalledOnce()
})
