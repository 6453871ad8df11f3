import type { Login } from '@mcpauth/oauth'

/** The client under test is its own browser: the suite's authorization servers approve at once, with a redirect that nobody follows. */
export const scriptedBrowser: Login = async () => ({
  redirectUri: 'http://127.0.0.1:47115/callback',
  async ask(url, _state, signal) {
    const answer = await fetch(url, { redirect: 'manual', ...(signal ? { signal } : {}) })
    const location = answer.headers.get('location')
    if (location === null) throw new Error(`the authorization endpoint answered ${answer.status} without a redirect`)
    return new URL(location).searchParams
  }
})
