// A program that uses a token, is refused, and dies of it. Its parent searches what it leaves behind.
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'

const url = process.argv[2] as string
const layers = [withHeaders(url, { 'X-Key': { env: 'CANARY_KEY' } }), withBearer(url, { env: 'CANARY_TOKEN' })]
await authFetch(layers)(url, { method: 'POST', body: '{}' })
