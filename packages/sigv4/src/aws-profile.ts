import type { Environment } from '@mcpauth/core'

/** What AWS's two files say of one profile. */
export interface AwsProfile {
  readonly exists: boolean
  /** The credentials file's, else the config file's; the provider of credentials alone does not carry it. */
  readonly region: string | undefined
}

/** Where the files are, when the environment moves them; else the AWS SDK's own places below the home folder. */
export interface AwsFiles {
  readonly filepath?: string
  readonly configFilepath?: string
}

/** The files that AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name. */
export function awsFiles(env: Environment): AwsFiles {
  return {
    ...(env.AWS_SHARED_CREDENTIALS_FILE ? { filepath: env.AWS_SHARED_CREDENTIALS_FILE } : {}),
    ...(env.AWS_CONFIG_FILE ? { configFilepath: env.AWS_CONFIG_FILE } : {})
  }
}

/** The files as an error names them. */
export function awsFileNames(env: Environment): string {
  return `${env.AWS_SHARED_CREDENTIALS_FILE || '~/.aws/credentials'} and ${env.AWS_CONFIG_FILE || '~/.aws/config'}`
}

/**
 * Reads a profile from the files as they are now. A file that is missing, unreadable or damaged reads as empty, as in AWS's own tools.
 */
export async function readProfile(name: string, env: Environment): Promise<AwsProfile> {
  const { loadSharedConfigFiles } = await import('@smithy/shared-ini-file-loader')
  // The loader otherwise keeps a file for the life of the process, and a login beside it is never seen.
  const { credentialsFile, configFile } = await loadSharedConfigFiles({ ...awsFiles(env), ignoreCache: true })
  const sections = [credentialsFile, configFile].flatMap((file) => (Object.hasOwn(file, name) ? [file[name]] : []))
  const region = sections.map((section) => section?.region).find((value) => typeof value === 'string' && value !== '')
  return { exists: sections.length > 0, region }
}
