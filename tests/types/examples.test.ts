import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'tests/.examples')

/** Every TypeScript example of a README or a doc comment, with where it stands. */
function examples(): Array<{ from: string; code: string }> {
  const pages = ['README.md', ...globSync(['packages/*/README.md', 'docs/*.md'], { cwd: root })]
  const sources = globSync('packages/*/src/**/*.ts', { cwd: root })
  const blocks = (file: string, text: string): Array<{ from: string; code: string }> =>
    [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code], index) => ({
      from: `${file} example ${index + 1}`,
      code: code as string
    }))
  return [
    ...pages.flatMap((file) => blocks(file, readFileSync(join(root, file), 'utf8'))),
    ...sources.flatMap((file) => blocks(file, readFileSync(join(root, file), 'utf8').replace(/^[ \t]*\* ?/gm, '')))
  ]
}

/** What a program installs by itself, since it is an MCP client. */
const ownOfTheProgram = /^(node:|@modelcontextprotocol\/)/

test.each(['README.md', ...globSync('packages/*/README.md', { cwd: root })])('%s installs what its examples import', (file) => {
  const page = readFileSync(join(root, file), 'utf8')
  const installed = [...page.matchAll(/^npm install (.*)$/gm)].flatMap(([, names]) => (names as string).split(' '))
  const imported = [...page.matchAll(/^import .* from '(.*)'$/gm)].map(([, name]) => name as string)
  expect(imported.filter((name) => !ownOfTheProgram.test(name) && !installed.includes(name))).toEqual([])
})

test('every example of a README and of a doc comment compiles', () => {
  const all = examples()
  expect(all.length).toBeGreaterThan(20)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  all.forEach(({ from, code }, index) => {
    // What is not exported is there to be read.
    writeFileSync(join(folder, `example-${index}.ts`), `// ${from}\n${code}\nexport {}\n`)
  })
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions: { noEmit: true }, include: ['*.ts'] })
  )
  let output = ''
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  } catch (error) {
    output = (error as { stdout: string }).stdout
  }
  const named = output.replace(/(?:\S*\/)?example-(\d+)\.ts/g, (_match, index) => all[Number(index)]?.from ?? '')
  expect(named).toBe('')
})
