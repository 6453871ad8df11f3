export {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  type Endpoint,
  startAuthorizationServer
} from './authorization-server.ts'
export { type DirectLogin, directLogin, directRefresh, postForm } from './direct-login.ts'
export type { ActiveFault, Fault } from './faults.ts'
export { type Origin, type RecordedRequest, readBody, sendJson, startOrigin } from './http-origin.ts'
export type { Ledger } from './ledger.ts'
export { type Answers, type McpServerV1, startMcpServerV1 } from './mcp-server-v1.ts'
export { startMcpServerV2 } from './mcp-server-v2.ts'
export type { Place, ProtectedResource, ProtectionOptions, TokenIssuer } from './protected-resource.ts'
export { type RecordingServer, startRecordingServer } from './recording-server.ts'
export { approve, type Visit } from './scripted-user.ts'
export type { McpServerOptions, TestMcpServer } from './test-mcp-server.ts'
export type { ToolGate } from './tool-gate.ts'
