import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBearer } from '@mcpauth/bearer-env'
import { compose } from '@mcpauth/core'
import { withRedactor } from '@mcpauth/redactor'
import { type Answers, startMcpServerV1 } from '@mcpauth/tests/servers'
import { type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect } from '../wire/clients.ts'

const executablePath = '/usr/bin/chromium'
const artifacts = '.artifacts'
const token = 'canary-of-the-browser-tools'
/** What a client asks in a session: initialize, initialized, the stream, a call, the end. */
const session = ['DELETE 200', 'GET 200', 'POST 200', 'POST 200', 'POST 202']

/** As much of a HAR file as is compared. */
interface Entry {
  request: { method: string; url: string; headers: { name: string; value: string }[] }
  response: { status: number; statusText: string; bodySize: number; content: { size: number; mimeType: string } }
  time: number
}

describe.skipIf(!existsSync(executablePath))(
  'a HAR file of a session, in the tools of a real Chromium (skipped where /usr/bin/chromium is absent)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'mcpauth-har-'))
    let browser: BrowserContext
    /** The tools as Chromium itself serves them, open at a page that does nothing. */
    let tools: string
    beforeAll(async () => {
      mkdirSync(artifacts, { recursive: true })
      const profile = join(folder, 'profile')
      const args = ['--no-sandbox', '--remote-debugging-port=0', '--remote-allow-origins=*']
      browser = await chromium.launchPersistentContext(profile, { executablePath, args, viewport: { width: 1400, height: 800 } })
      const [port] = readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')
      const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { id: string; type: string; url: string }[]
      const idle = targets.find(({ type, url }) => type === 'page' && url === 'about:blank')
      tools = `http://127.0.0.1:${port}/devtools/devtools_app.html?ws=127.0.0.1:${port}/devtools/page/${idle?.id}&panel=network`
    })
    afterAll(async () => {
      await browser.close()
      rmSync(folder, { recursive: true, force: true })
    })

    /** A client of the SDK connects, calls a tool, and goes. */
    async function recordSession(file: string, sdk: 'v1' | 'v2', answers: Answers): Promise<Entry[]> {
      await using server = await startMcpServerV1({ bearerToken: token, answers })
      const layers = compose([withBearer(server.url, { get: () => token }), withRedactor(server.url, { har: file })])
      {
        await using client = await connect({ sdk, transport: 'http' }, server.url, layers)
        expect(await client.call('echo', { text: 'hello' })).toContain('hello')
        await client.terminate()
      }
      return entriesIn(file)
    }

    function entriesIn(file: string): Entry[] {
      return (JSON.parse(readFileSync(file, 'utf8')) as { log: { entries: Entry[] } }).log.entries
    }

    /** Opens the tools and gives them a file, through the button that a person would press. */
    async function importInto(page: Page, file: string): Promise<void> {
      await page.goto(tools)
      const chooser = page.waitForEvent('filechooser')
      await page.getByRole('button', { name: 'Import HAR file' }).click()
      await (await chooser).setFiles(file)
    }

    const rowsOf = (page: Page): Locator =>
      page.locator('tr.data-grid-data-grid-node:not(.data-grid-header-row)').filter({ has: page.locator('.name-column') })

    /** What the tools say of one request, in the pane that opens beside the list. */
    async function detailsOf(page: Page, row: Locator): Promise<string> {
      await row.locator('.name-column').click()
      const shown = async (): Promise<string> => (await page.getByRole('tabpanel').allInnerTexts()).join(' ').replace(/\s+/g, ' ')
      await expect.poll(shown, { timeout: 60_000 }).toMatch(/Status Code \d+/)
      const text = await shown()
      await page.getByText('[REDACTED]').first().waitFor()
      expect(await page.getByText(token).count()).toBe(0)
      // The next one opens a pane of its own, so that nothing of this one can be taken for it.
      await page.getByRole('button', { name: 'Close', exact: true }).first().click()
      await expect.poll(shown).not.toContain('Request Method')
      return text
    }

    test.each([
      ['v1', 'json'],
      ['v1', 'sse'],
      ['v2', 'json'],
      ['v2', 'sse']
    ] as const)(
      'T13: SDK %s, answers in %s: every exchange is a row with its method, URL, status, size and time, and no secret',
      async (sdk, answers) => {
        const file = join(folder, `${sdk}-${answers}.har`)
        const entries = await recordSession(file, sdk, answers)
        expect(entries.map(({ request: { method }, response: { status } }) => `${method} ${status}`).sort()).toEqual(session)
        const page = await browser.newPage()
        onTestFinished(() => page.close())
        const complaints: string[] = []
        page.on('pageerror', (error) => complaints.push(error.message))

        await importInto(page, file)
        const rows = rowsOf(page)
        await expect.poll(() => rows.count(), { timeout: 60_000 }).toBe(entries.length)
        const cells = await rows.evaluateAll((all) =>
          all.map((row) =>
            ['status', 'size', 'time']
              .map((name) => row.querySelector(`.${name}-column`)?.firstChild?.textContent ?? '')
              .join(' ')
              .replace(/\s/g, ' ')
          )
        )
        for (const cell of cells) expect(cell).toMatch(/^(200|202) \d+\.\d kB \d+(\.\d+)? (ms|s|min)$/)
        const sizes = entries.map(({ response }) => `${response.status} ${(response.bodySize / 1000).toFixed(1)} kB`)
        expect(cells.map((cell) => cell.replace(/ \S+ (ms|s|min)$/, '')).sort()).toEqual(sizes.sort())
        await page.screenshot({ path: `${artifacts}/har-${sdk}-${answers}-list.png` })

        const details: string[] = []
        for (const row of await rows.all()) details.push(await detailsOf(page, row))
        const { url } = (entries[0] as Entry).request
        const seen = details.map((text) => /Request URL (\S+) Request Method (\S+) Status Code (\d+)/.exec(text)?.slice(1).join(' '))
        expect(seen.sort()).toEqual(entries.map(({ request: { method }, response: { status } }) => `${url} ${method} ${status}`).sort())
        expect(complaints).toEqual([])
        await rows.first().locator('.name-column').click()
        await page.getByText('[REDACTED]').first().waitFor()
        await page.screenshot({ path: `${artifacts}/har-${sdk}-${answers}-request.png` })
      }
    )
  }
)
