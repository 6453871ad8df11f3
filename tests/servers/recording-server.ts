import { type RecordedRequest, readBody, startOrigin } from './http-origin.ts'

/** Another origin. It answers everything and remembers what it was sent. */
export interface RecordingServer extends AsyncDisposable {
  readonly url: URL
  readonly requests: readonly RecordedRequest[]
  /** Everything that came in, as text, to be searched for secrets. */
  transcript(): string
}

/** @param answer What it answers. @default 200 with an empty JSON object */
export async function startRecordingServer(
  answer: { status?: number; headers?: Record<string, string>; body?: string } = {}
): Promise<RecordingServer> {
  const origin = await startOrigin()
  origin.mount('/', async (request, response) => {
    await readBody(request)
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers }).end(answer.body ?? '{}')
  })
  return {
    url: origin.url,
    requests: origin.requests,
    transcript: () => JSON.stringify(origin.requests),
    [Symbol.asyncDispose]: origin.close
  }
}
