import type { AwsCredentials } from '../src/credentials.ts'

/** Not keys of anyone: made for these tests, long enough to be registered as secrets. */
export const keys: AwsCredentials = { accessKeyId: 'AKIDUNITTESTS', secretAccessKey: 'unit/test+secret-key-0001' }
export const sessionKeys: AwsCredentials = { ...keys, sessionToken: 'unit-test//session+token==' }
