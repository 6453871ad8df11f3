/** What the demo shows, and a copy of all of it. */
export interface Terminal {
  step(title: string): void
  /** A fact that was observed. */
  seen(fact: string): void
  /** A line that belongs to the fact above. */
  detail(line: string): void
  /** Everything this process has written to standard output and standard error, by whatever code. */
  transcript(): string
}

export function openTerminal(): Terminal {
  const written: string[] = []
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream)
    stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
      written.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
      return write(chunk, ...rest)
    }) as typeof stream.write
  }
  const style = (code: number, text: string): string => (process.stdout.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text)
  let steps = 0

  return {
    step(title) {
      steps += 1
      console.log(`\n${style(1, `${steps}. ${title}`)}`)
    },
    seen: (fact) => console.log(`   ${style(32, '✓')} ${fact}`),
    detail: (line) => console.log(style(2, `       ${line}`)),
    transcript: () => written.join('')
  }
}
