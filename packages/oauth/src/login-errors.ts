import { loginCommand, McpAuthError, safeText } from '@mcpauth/core'
import type { Settings } from './options.ts'

/** The errors that a person can do something about, each with the command that does it. */
export interface LoginErrors {
  /** @param why What made the stored tokens useless. */
  required(why?: McpAuthError): McpAuthError
  /** The person has not finished yet. */
  pending(): McpAuthError
  /** The person never finished. */
  tookTooLong(): McpAuthError
  /** There are tokens, and nothing to renew them with. */
  notRenewable(): McpAuthError
  /** The server did not ask for one. */
  notNeeded(): McpAuthError
  stepUpRequired(scope: string | undefined, fact: string): McpAuthError
}

/** Makes the errors of one server. */
export function loginErrors({ server, key, store }: Pick<Settings, 'server' | 'key' | 'store'>): LoginErrors {
  function command(more = ''): string {
    return loginCommand(server, key.profile) + more
  }

  return {
    required: (why = store.trouble()) =>
      new McpAuthError(
        'MCPAUTH_LOGIN_REQUIRED',
        `${server.host} needs a login, and there is no usable token${why ? ` (${why.message})` : ''}`,
        {
          hint: `run: ${command()} (in code, or with a store of your own: pass login: browserLogin())`,
          cause: why
        }
      ),
    pending: () =>
      new McpAuthError('MCPAUTH_LOGIN_PENDING', `the login to ${server.host} is not finished; this request has not been sent`, {
        hint: 'finish the login and try again; call login() before connect() to wait as long as it takes'
      }),
    tookTooLong: () =>
      new McpAuthError('MCPAUTH_LOGIN_FAILED', `nobody finished the login to ${server.host} in time`, {
        hint: `if the browser showed an error page, the client registration is suspect: ${command(' --new-registration')}`
      }),
    notRenewable: () =>
      new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `the token for ${server.host} cannot be renewed`, { hint: `run: ${command()}` }),
    notNeeded: () =>
      new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${server.host} did not ask for a login and names no authorization server`, {
        hint: 'check the URL; if it is right, there is nothing to log in to: connect without'
      }),
    stepUpRequired: (wanted, fact) => {
      const scope = safeText(wanted)
      // Into a command that a person may paste goes nothing that a shell would run.
      const option = /^[\w:./ @+-]+$/.test(scope) ? ` --scope "${scope}"` : ''
      return new McpAuthError('MCPAUTH_STEP_UP_REQUIRED', `${server.host} ${fact}${scope === '' ? '' : `: ${scope}`}`, {
        hint: `run: ${command(option)}`
      })
    }
  }
}
