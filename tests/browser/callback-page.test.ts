import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { McpAuthError } from '@mcpauth/core'
import { browserLogin } from '@mcpauth/oauth'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

const executablePath = '/usr/bin/chromium'
const artifacts = '.artifacts'
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface Ending {
  name: string
  title: string
  says: string
  end(login: Awaited<ReturnType<ReturnType<typeof browserLogin>>>): void
}

const endings: Ending[] = [
  {
    name: 'success',
    title: 'You are logged in',
    says: 'Your programs on this machine can now use mcp.example.com.',
    end: (login) => login.finish?.()
  },
  {
    name: 'failure',
    title: 'The login did not work',
    says: 'Logging in to mcp.example.com failed: the authorization server refused: access_denied',
    end: (login) =>
      login.finish?.(
        new McpAuthError('MCPAUTH_LOGIN_FAILED', 'the authorization server refused: access_denied', {
          hint: 'Log in again, and allow access.'
        })
      )
  },
  {
    name: 'unknown',
    title: 'Your answer has arrived',
    says: 'The login to mcp.example.com goes on in your terminal, which says how it ends.',
    end: (login) => login.close?.()
  }
]

describe.skipIf(!existsSync(executablePath))(
  'the page at the end of a login, in Chromium (skipped where /usr/bin/chromium is absent)',
  () => {
    let browser: Browser
    beforeAll(async () => {
      mkdirSync(artifacts, { recursive: true })
      browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    })
    afterAll(() => browser.close())

    /** Logs in with this browser as the person's, and ends the login in the given way. */
    async function arrive(page: Page, { end }: Ending): Promise<void> {
      const login = await browserLogin({ print: () => {}, open: () => {} })()
      onTestFinished(() => login.close?.())
      const url = new URL('https://as.example/authorize?state=s&resource=https%3A%2F%2Fmcp.example.com%2Fmcp')
      const answer = login.ask(url, 's')
      const loaded = page.goto(`${login.redirectUri}?code=the-code&state=s`)
      await answer
      end(login)
      await loaded
    }

    for (const colorScheme of ['light', 'dark'] as const) {
      for (const ending of endings) {
        test(`${ending.name} in ${colorScheme}: readable, complete, accessible, without script, and nothing is loaded from elsewhere`, async () => {
          const page = await browser.newPage({ colorScheme, viewport: { width: 900, height: 620 } })
          onTestFinished(() => page.close())
          const requested: string[] = []
          const complaints: string[] = []
          page.on('request', (request) => requested.push(new URL(request.url()).pathname))
          page.on('console', (message) => complaints.push(message.text()))
          page.on('pageerror', (error) => complaints.push(error.message))
          await arrive(page, ending)

          expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(ending.title)
          const text = await page.getByRole('main').textContent()
          expect(text).toContain(ending.says)
          expect(text).toContain('You can close this tab and go back to your terminal.')
          expect(requested.filter((path) => path !== '/callback' && path !== ',')).toEqual([])
          expect(await page.locator('script').count()).toBe(0)

          await page.screenshot({ path: `${artifacts}/callback-page-${ending.name}-${colorScheme}.png` })
          // The page's own policy forbids scripts, which is what keeps axe out: it runs on a copy of the document without that policy.
          expect(complaints).toEqual([])
          const copy = await browser.newPage({ colorScheme })
          onTestFinished(() => copy.close())
          await copy.setContent(await page.content())
          await copy.evaluate(axe)
          const { violations } = await copy.evaluate(() =>
            (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string }[] }> } }).axe.run()
          )
          expect(violations.map(({ id }) => id)).toEqual([])
        })
      }
    }

    test('the colours really follow the scheme, and a narrow window and a long name do not break the page', async () => {
      const background = async (colorScheme: 'light' | 'dark'): Promise<string> => {
        const page = await browser.newPage({ colorScheme, viewport: { width: 320, height: 568 } })
        onTestFinished(() => page.close())
        await arrive(page, endings[0] as Ending)
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(320)
        return (await page.evaluate('getComputedStyle(document.body).backgroundColor')) as string
      }
      expect(await background('light')).toBe('rgb(246, 247, 249)')
      expect(await background('dark')).toBe('rgb(13, 17, 23)')
    })

    test('T10: what a hostile server puts into a message stays text in a real browser', async () => {
      const page = await browser.newPage()
      onTestFinished(() => page.close())
      let alerted = false
      page.on('dialog', async (dialog) => {
        alerted = true
        await dialog.dismiss()
      })
      const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>"\'&'
      await arrive(page, {
        ...(endings[1] as Ending),
        end: (login) => login.finish?.(new McpAuthError('MCPAUTH_LOGIN_FAILED', hostile, { hint: hostile }))
      })
      expect(await page.getByRole('main').textContent()).toContain(hostile)
      expect(await page.locator('img, script').count()).toBe(0)
      expect(alerted).toBe(false)
    })
  }
)
