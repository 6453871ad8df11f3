import { expect, test } from 'vitest'
import { commandUrl, commandWord, loginCommand } from '../src/index.ts'

test.each([
  ['https://mcp.example.com/mcp', 'https://mcp.example.com/mcp'],
  ['https://mcp.example.com', 'https://mcp.example.com/'],
  ['http://[::1]:8080/a_b/c-d/~e/f%20g', 'http://[::1]:8080/a_b/c-d/~e/f%20g'],
  ['https://mcp.example.com/mcp?key=1&other=2', 'https://mcp.example.com/mcp?…'],
  ['https://mcp.example.com/mcp#fragment', 'https://mcp.example.com/mcp']
])('the URL %s stands in a command as %s', (url, expected) => {
  expect([commandUrl(url), commandUrl(new URL(url))]).toEqual([expected, expected])
})

test.each([
  'https://mcp.example.com/;id',
  'https://mcp.example.com/$(id)',
  'https://mcp.example.com/a&id',
  'https://mcp.example.com/a|sh?query',
  "https://mcp.example.com/'",
  'https://mcp.example.com/(id)',
  'https://mcp.example.com/!!',
  'https://mcp.example.com/*',
  'https://a;id.example/',
  'https://a$id.example/',
  'no url',
  undefined
])('T14: the URL %s is in no command', (url) => {
  expect(commandUrl(url)).toBe('<url>')
})

test('T14: a word stays one word, and is no option', () => {
  expect(['prod', 'user@host', 'a.b-c_d'].map((word) => commandWord(word, '<name>'))).toEqual(['prod', 'user@host', 'a.b-c_d'])
  for (const word of ['', 'a b', 'a;id', '$HOME', '`id`', 'a\nid', '"', '\\', '--endpoint-url', 'é'])
    expect(commandWord(word, '<name>')).toBe('<name>')
})

test('T14: the command that logs in names the profile, and holds nothing else that a shell would run', () => {
  expect(loginCommand('https://mcp.example.com/mcp')).toBe('npx @mcpauth/cli login https://mcp.example.com/mcp')
  expect(loginCommand(undefined, 'work')).toBe('npx @mcpauth/cli login <url> --profile work')
  expect(loginCommand('https://mcp.example.com/;id', '$(id)')).toBe('npx @mcpauth/cli login <url> --profile <profile>')
})
