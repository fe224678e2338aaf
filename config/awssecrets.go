package config

import (
	"regexp"
	"time"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awssecret"
)

// AWSSecrets says how secrets that are kept in AWS are read. What is left out
// comes from where the AWS command line takes it.
type AWSSecrets struct {
	Refresh    Duration `json:"refresh,omitzero" jsonschema:"How often they are read again, at least 30s; a reload of the config does it too. 0s: only that. Default: 5m."`
	Region     string   `json:"region,omitzero" jsonschema:"AWS region of the secrets. An ARN has its own. Left out, the environment or the profile says it."`
	Profile    string   `json:"profile,omitzero" jsonschema:"Profile of the shared AWS config files."`
	Role       string   `json:"role,omitzero" jsonschema:"ARN of a role that is assumed to read them."`
	ExternalID string   `json:"external_id,omitzero" jsonschema:"External ID that the role's trust policy asks for."`
	FIPS       bool     `json:"fips,omitzero" jsonschema:"Call the endpoints that are validated by FIPS 140. Default: false."`
}

// leastRefresh keeps a mistake from costing money: each call has its price.
const leastRefresh = Duration(30 * time.Second)

func (a *AWSSecrets) settings() awssecret.Settings {
	return awssecret.Settings{
		Settings: awsaccess.Settings{Region: a.Region, Profile: a.Profile, Role: a.Role, ExternalID: a.ExternalID, FIPS: a.FIPS},
		Refresh:  time.Duration(a.Refresh),
	}
}

func (d *decoder) checkAWSSecrets(a *AWSSecrets) {
	const at = "aws_secrets"
	if a.Refresh != 0 && a.Refresh < leastRefresh && !d.unresolved[at+".refresh"] {
		d.failValue(at+".refresh", "%v is too short; write at least %v, or 0s for only when the config is read again", a.Refresh, leastRefresh)
	}
	if a.Region != "" && !regionName.MatchString(a.Region) && !d.unresolved[at+".region"] {
		d.failValue(at+".region", "%q is not the name of a region, such as eu-west-1", a.Region)
	}
	d.checkRole(at, a.Role, a.ExternalID)
}

// WithAWSSecrets has find answer for the secrets that are kept in AWS: for each
// reference with its text or an error. It is called at most once for each time
// that a config is read, and only when nothing else is wrong with it. Without
// this option a config that has such secrets is refused.
func WithAWSSecrets(find func(awssecret.Settings, []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer) Option {
	return func(r *reading) { r.inAWS = find }
}

// WithoutAWSSecrets checks only the form of references to secrets in AWS, and
// leaves those secrets empty. It is for checking a config, never for serving it.
func WithoutAWSSecrets() Option { return func(r *reading) { r.unread = true } }

func (r *reading) find(settings awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
	if r.inAWS != nil {
		return r.inAWS(settings, wanted)
	}
	return map[awssecret.Ref]awssecret.Answer{}
}

// nearReference is what people write when they mean a secret in AWS.
var nearReference = regexp.MustCompile(`(?i)^((aws[-_.]?)?(secrets?[-_.]?manager|ssm|parameter([-_.]?store)?)|aws[-_.]?(secrets?|sm)):|^arn:aws[a-z-]*:(secretsmanager|ssm):`)

// secretInAWS is what a reference stands for, as far as that is known yet.
func (d *decoder) secretInAWS(text, path string) (Secret, bool) {
	if d.unresolved[path] {
		return Secret{}, false
	}
	ref, err := awssecret.Parse(text)
	if err != nil {
		d.failValue(path, "%v", err)
		return Secret{}, false
	}
	if d.offline {
		return Secret{}, false
	}
	d.wanted = append(d.wanted, awssecret.Wanted{Ref: ref, Previous: d.several})
	if d.answers == nil {
		d.unresolved[path] = true
		return Secret{text: new(string), kept: ref.String()}, true
	}
	answer, ok := d.answers[ref]
	switch {
	case !ok:
		d.failValue(path, "%s is kept in AWS, which is not asked here", ref)
		return Secret{}, false
	case answer.Err != nil:
		d.failValue(path, "read secret: %v", answer.Err)
		return Secret{}, false
	}
	if d.several && answer.Previous != "" {
		before := answer.Previous
		d.previous[path] = Secret{text: &before, kept: ref.String(), previous: true}
	}
	return Secret{text: &answer.Text, kept: ref.String()}, true
}
