#!/usr/bin/env node
// The first thing that runs, on whatever Node there is: nothing is imported before it is known to be new enough.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`mcpauth needs Node 22.19 or newer; this is ${process.versions.node}. Get a newer one from https://nodejs.org\n`)
  process.exitCode = 1
} else {
  // Who reads what is written may leave early, as `head` does.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
  const { run } = await import('./program.ts')
  process.exitCode = await run(process.argv.slice(2), process.env)
}
