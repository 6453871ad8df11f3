/** What a shell reads as one word, whichever shell it is. */
const plain = /^[\w.:/@%+,=~[\]-]+$/

/**
 * A word of a command that a person may paste into a terminal: the text itself, or a placeholder where a shell would see more in it. What stands in an error may
 * come from a server, or from a file that somebody else has written.
 *
 * @param otherwise As in `<name>`.
 */
export function commandWord(text: string, otherwise: string): string {
  return plain.test(text) && !text.startsWith('-') ? text : otherwise
}

/** A server's URL in such a command. Its host and path may hold `;`, `$` and `&`; its query is left out, as in every error. */
export function commandUrl(server: string | URL | undefined): string {
  if (!URL.canParse(String(server))) return '<url>'
  const { origin, pathname, search } = new URL(String(server))
  const word = commandWord(origin + pathname, '<url>')
  return search === '' || word === '<url>' ? word : `${word}?…`
}

/** The command that logs in, as it can be run whether or not it is installed. */
export function loginCommand(server: string | URL | undefined, profile?: string): string {
  return `npx @mcpauth/cli login ${commandUrl(server)}${profile === undefined ? '' : ` --profile ${commandWord(profile, '<profile>')}`}`
}
