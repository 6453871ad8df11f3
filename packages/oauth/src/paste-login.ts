import type { Readable } from 'node:stream'
import { browserLogin } from './browser-login.ts'
import type { Login } from './login.ts'

/** For {@link pasteLogin}. */
export interface PasteLoginOptions {
  /** Where the pasted address is read from. @default process.stdin */
  readonly input?: Readable
  /** Shows a line to the person. @default standard error */
  readonly print?: (line: string) => void
  /** A fixed port of the redirect URI, 1 to 65535. @default any free one */
  readonly port?: number
  /** @default '127.0.0.1' */
  readonly host?: '127.0.0.1' | '[::1]' | 'localhost'
  /** How long the person has, in milliseconds. @default 300_000 */
  readonly timeoutMs?: number
}

/**
 * A login for a machine whose browser is elsewhere (SSH, a container): prints the URL and takes the address that the person's browser ends at,
 * pasted into the terminal. The `state` in it is verified; a bare code is refused, since nothing tells whose it is.
 * It listens at the same time: where the browser does reach this machine, nothing needs to be pasted.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function pasteLogin(options: PasteLoginOptions = {}): Login {
  return browserLogin({ ...options, input: options.input ?? process.stdin, open: false })
}
