import { existsSync } from 'node:fs'
import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'

const executablePath = '/usr/bin/chromium'

describe.skipIf(!existsSync(executablePath))('a login through real pages, in Chromium (skipped where /usr/bin/chromium is absent)', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())

  interface Scene {
    as: AuthorizationServer
    page: Page
    /** Starts the login and brings the page to the question. */
    login: Promise<unknown>
    /** Host and port of the MCP server, as the last page names it. */
    server: string
  }

  async function scene(): Promise<Scene> {
    const as = await startAuthorizationServer()
    const mcp = await startMcpServerV2({ authorizationServer: as })
    const page = await browser.newPage()
    onTestFinished(async () => {
      await page.close()
      await mcp[Symbol.asyncDispose]()
      await as[Symbol.asyncDispose]()
    })
    let arrived: () => void = () => {}
    const question = new Promise<void>((settle) => {
      arrived = settle
    })
    const open = async (url: URL): Promise<void> => {
      await page.goto(url.href)
      arrived()
    }
    const tokens = oauthTokens(mcp.url, { store: memoryStore(), login: browserLogin({ open, print: () => {} }) })
    const login = tokens.login()
    login.catch(() => {})
    await Promise.race([question, login])
    return { as, page, login, server: mcp.url.host }
  }

  test('a person allows, is logged in, and the last page says so', async () => {
    const { page, login, server } = await scene()
    await page.getByRole('button', { name: 'Allow' }).click()
    await expect(login).resolves.toMatchObject({ loggedIn: true, canRefresh: true })
    await page.getByRole('heading', { name: 'You are logged in' }).waitFor()
    expect(await page.getByRole('main').textContent()).toContain(`can now use ${server}.`)
  })

  test('a person denies, and the last page says that', async () => {
    const { page, login, server } = await scene()
    await page.getByRole('button', { name: 'Deny' }).click()
    await expect(login).rejects.toThrow(expect.objectContaining({ code: 'MCPAUTH_LOGIN_FAILED' }))
    await page.getByRole('heading', { name: 'The login did not work' }).waitFor()
    expect(await page.getByRole('main').textContent()).toContain(
      `Logging in to ${server} failed: the authorization server refused: access_denied`
    )
  })

  test('a code that the server will not exchange does not end in a page that says success', async () => {
    const { as, page, login } = await scene()
    as.fault('token', { kind: 'status', status: 400, body: JSON.stringify({ error: 'invalid_grant', error_description: 'too late' }) })
    await page.getByRole('button', { name: 'Allow' }).click()
    await expect(login).rejects.toThrow('invalid_grant')
    await page.getByRole('heading', { name: 'The login did not work' }).waitFor()
    expect(await page.getByRole('main').textContent()).toContain('invalid_grant')
  })
})
