import { McpAuthError } from './errors.ts'

/**
 * Makes an agent that takes its proxy from the environment. What undici throws for one that is no URL quotes it, and it may hold the proxy's password.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function proxyAgent<Agent>(make: () => Agent): Agent {
  try {
    return make()
  } catch {
    throw new McpAuthError('MCPAUTH_INVALID_OPTION', 'the environment variable HTTP_PROXY or HTTPS_PROXY is not the URL of a proxy', {
      hint: 'write it as in HTTPS_PROXY=http://proxy.example.com:3128'
    })
  }
}
