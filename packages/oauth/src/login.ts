import { checkRedirectUri } from './registered-redirect.ts'

/**
 * How a person is asked. A login is opened before registration, because registration needs its redirect URI.
 *
 * Ready-made: `browserLogin()`, `pasteLogin()`. One of your own: open the URL however you like, and resolve `ask` with the parameters that came
 * back to the redirect URI.
 */
export type Login = () => Promise<OpenLogin>

/** A login in progress; used once. */
export interface OpenLogin {
  /** Where the authorization server sends the person back to. */
  readonly redirectUri: string
  /**
   * Sends the person to `url` and resolves with the parameters of the redirect. They are as they came: only `state` has been compared.
   *
   * @param url The authorization URL.
   * @param state What the answer's `state` must be; other answers are discarded.
   * @param signal Gives up.
   * @throws `MCPAUTH_LOGIN_FAILED` nobody came back in time, or the person gave up.
   * @throws `MCPAUTH_ADDRESS_REFUSED` the URL is not one to open.
   */
  ask(url: URL, state: string, signal?: AbortSignal): Promise<URLSearchParams>
  /**
   * How it ended, once the answer has been verified and the code exchanged: what the waiting browser tab shows.
   *
   * @param problem Why it failed. Absent: it succeeded.
   */
  finish?(problem?: unknown): void
  /** Frees the port. A tab that still waits is told to look at the terminal. */
  close?(): void
}

/**
 * Opens a login, and closes it when `work` is over. What `work` throws is what its tab shows; that it has succeeded, `work` says with `finish`.
 *
 * @param registered The redirect URIs that the client is registered with. Absent: the user has not said.
 * @throws `MCPAUTH_INSECURE_URL`, `MCPAUTH_CLIENT_MISMATCH` it would come back to another place
 */
export async function duringLogin<T>(
  login: Login,
  registered: readonly string[] | undefined,
  work: (open: OpenLogin) => Promise<T>
): Promise<T> {
  const open = await login()
  try {
    checkRedirectUri(registered, open.redirectUri)
    return await work(open)
  } catch (error) {
    open.finish?.(error)
    throw error
  } finally {
    open.close?.()
  }
}
