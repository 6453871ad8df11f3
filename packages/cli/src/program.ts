import { Command, CommanderError, Option } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { type LoginFlags, login } from './commands/login.ts'
import { logout } from './commands/logout.ts'
import { type StatusFlags, status } from './commands/status.ts'
import { exitCodes, processTerminal, report, type Terminal } from './terminal.ts'
import { tellingWarnings } from './warnings.ts'

/**
 * The command line.
 *
 * @param args Without node and script.
 * @returns The exit code: 0 done, 1 failed, 2 the command line makes no sense, 3 a person has to log in.
 */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv, terminal: Terminal = processTerminal(env)): Promise<number> {
  let code: number = exitCodes.done
  const program = commandLine(terminal, (work, server) => async () => {
    code = await tellingWarnings(terminal, work).catch((error: unknown) => report(error, terminal, server))
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    return report(error, terminal)
  }
}

/** Runs a command and keeps its exit code; `server` is named when it fails. */
type Running = (work: () => Promise<number>, server?: string) => () => Promise<void>

function commandLine(terminal: Terminal, running: Running): Command {
  const program = new Command('mcpauth')
    .description('Logs in to MCP servers, and keeps the tokens for the programs on this machine.')
    .version(manifest.version)
    .exitOverride()
    .configureOutput({
      // A mistyped option may hold what should never have been an argument: only its name is repeated.
      outputError: (text) => terminal.tell(`mcpauth: ${withoutValue(text)}`)
    })
    .showHelpAfterError('(mcpauth --help lists the commands; secrets are never given as arguments)')

  const profile = new Option('--profile <name>', 'which of several identities at this server')

  program
    .command('login')
    .description('logs in to an MCP server')
    .argument('<url>', "the MCP server's URL")
    .option('--no-browser', 'prints the address to open elsewhere, and takes the address that the browser ends at')
    .option('--device', 'logs in with a code, on any other device')
    .option('--scope <scopes>', 'what to ask for, separated by spaces')
    .option('--client-id <id>', 'a client that is registered at the authorization server')
    .option('--client-secret-env <variable>', 'the environment variable that holds its secret')
    .option('--client-secret-file <path>', 'the file that holds its secret')
    .option('--port <number>', 'the port that the client is registered with', (text) => Number(text))
    .option('--timeout <seconds>', 'how long the person has, 1 to 3600; 300 without it', (text) => Number(text))
    .option('--new-registration', 'registers this client anew')
    .option('--interactive', 'a person is there, although this is not a terminal')
    .addOption(profile)
    .action((url: string, flags: LoginFlags) => running(() => login(url, flags, terminal), url)())

  program
    .command('logout')
    .description('revokes the tokens of an MCP server and forgets them')
    .argument('<url>', "the MCP server's URL")
    .addOption(profile)
    .action((url: string, flags: { profile?: string }) => running(() => logout(url, flags, terminal), url)())

  program
    .command('status')
    .description('shows what is kept, without secrets')
    .argument('[url]', 'one MCP server; all of them without it')
    .option('--json', 'for programs')
    .addOption(profile)
    .action((url: string | undefined, flags: StatusFlags) => running(() => status(url, flags, terminal), url)())

  return program
}

function withoutValue(text: string): string {
  return text.trimEnd().replace(/(--?[\w-]+)=[^'\s]*/g, '$1')
}
