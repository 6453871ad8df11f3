/** What the credentials of one vendor look like. */
export interface SecretShape {
  /** Stands in the place of what was found: `[REDACTED:label]`. */
  readonly label: string
  /** The source of a regular expression, without groups that capture; at least 16 characters long, of the characters of a token. */
  readonly pattern: string
  /** Where the vendor, or who knows it well, says so. */
  readonly source: string
}

/**
 * One row each. A shape is found where no letter or digit stands before it. What stands before a part that must follow is bounded: a text of
 * nothing but beginnings would otherwise be read to its end from each of them.
 */
export const secretShapes: readonly SecretShape[] = [
  {
    label: 'jwt',
    pattern: String.raw`(?<![_-])eyJ[\w-]{5,2000}\.[\w-]{5,}(?:\.[\w-]*){0,3}`,
    source: 'RFC 7519 §3: base64url of {" is eyJ'
  },
  {
    label: 'openai',
    pattern: String.raw`(?:sk|pk)-(?=[A-Za-z_-]{0,64}\d)[\w-]{13,}`,
    source: 'platform.openai.com/docs, docs.anthropic.com (sk-ant-)'
  },
  { label: 'stripe', pattern: '(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}', source: 'docs.stripe.com/keys' },
  { label: 'stripe', pattern: 'whsec_[A-Za-z0-9+/=]{10,}', source: 'docs.stripe.com/webhooks' },
  { label: 'github', pattern: 'gh[pousr]_[A-Za-z0-9_]{12,}', source: "docs.github.com, About GitHub's token prefixes" },
  { label: 'github', pattern: String.raw`github_pat_\w{12,}`, source: "docs.github.com, About GitHub's token prefixes" },
  {
    label: 'gitlab',
    pattern: String.raw`gl(?:pat|oas|dt|rt|ptt|cbt|agent|soat|ft|imt)-[\w.-]{10,}`,
    source: 'docs.gitlab.com, Token prefixes'
  },
  { label: 'slack', pattern: String.raw`xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}`, source: 'docs.slack.dev, Token types' },
  { label: 'slack', pattern: String.raw`xapp-\d-[A-Za-z0-9-]{10,}`, source: 'docs.slack.dev, Token types' },
  {
    label: 'aws',
    pattern: '(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])',
    source: 'docs.aws.amazon.com, IAM unique identifiers'
  },
  { label: 'google', pattern: String.raw`AIza[\w-]{30,}`, source: 'cloud.google.com/docs/authentication/api-keys' },
  { label: 'google', pattern: String.raw`(?:ya29\.|GOCSPX-)[\w-]{10,}`, source: 'developers.google.com/identity/protocols/oauth2' },
  { label: 'npm', pattern: 'npm_[A-Za-z0-9]{12,}', source: 'docs.npmjs.com, About access tokens' },
  { label: 'pypi', pattern: String.raw`pypi-[\w-]{16,}`, source: 'pypi.org/help/#apitoken' },
  { label: 'huggingface', pattern: 'hf_[A-Za-z0-9]{14,}', source: 'huggingface.co/docs/hub/security-tokens' },
  { label: 'sendgrid', pattern: String.raw`SG\.[\w-]{10,64}\.[\w-]{10,}`, source: 'docs.sendgrid.com, API keys' },
  { label: 'shopify', pattern: 'shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,}', source: 'shopify.dev/docs/apps/auth' },
  { label: 'digitalocean', pattern: 'do[por]_v1_[a-f0-9]{16,}', source: 'docs.digitalocean.com/reference/api' },
  { label: 'databricks', pattern: 'dapi[a-f0-9]{24,}', source: 'docs.databricks.com/dev-tools/auth/pat' },
  { label: 'vault', pattern: String.raw`hv[sbr]\.[\w-]{16,}`, source: 'developer.hashicorp.com/vault/docs/concepts/tokens' },
  { label: 'notion', pattern: 'ntn_[A-Za-z0-9]{16,}', source: 'developers.notion.com/reference/authentication' },
  { label: 'linear', pattern: 'lin_(?:api|oauth)_[A-Za-z0-9]{12,}', source: 'linear.app/developers' },
  { label: 'grafana', pattern: String.raw`gl(?:sa|c)_[\w=]{14,}`, source: 'grafana.com/docs, Service accounts' },
  { label: 'atlassian', pattern: String.raw`ATATT3[\w=-]{16,}`, source: 'support.atlassian.com, API tokens' },
  { label: 'doppler', pattern: String.raw`dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{16,}`, source: 'docs.doppler.com, token formats' },
  { label: 'age', pattern: 'AGE-SECRET-KEY-1[A-Z0-9]{16,}', source: 'age-encryption.org/v1' }
]

const anyShape = new RegExp(`(?<![A-Za-z0-9])(?:${secretShapes.map(({ pattern }) => pattern).join('|')})`, 'g')
const wholeShapes = secretShapes.map(({ label, pattern }) => ({ label, whole: new RegExp(`^(?:${pattern})$`) }))

/** Every known shape in a short text. */
export function shapesIn(text: string): Array<{ start: number; end: number; label: string }> {
  const found: Array<{ start: number; end: number; label: string }> = []
  anyShape.lastIndex = 0
  for (let match = anyShape.exec(text); match; match = anyShape.exec(text)) {
    const [value] = match
    const label = wholeShapes.find(({ whole }) => whole.test(value))?.label ?? 'token'
    found.push({ start: match.index, end: match.index + value.length, label })
  }
  return found
}
