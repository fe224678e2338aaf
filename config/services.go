package config

import "switchyard/internal/awsaccess"

// Services says as whom, and where, Task states of the embedded engine call
// services of AWS. What is left out comes from where the AWS command line takes
// it.
type Services struct {
	Region     string `json:"region,omitzero" jsonschema:"Region of the services. Left out, AWS_REGION or the profile says it."`
	Profile    string `json:"profile,omitzero" jsonschema:"Profile of the shared AWS config files."`
	Role       string `json:"role,omitzero" jsonschema:"ARN of a role that is assumed for all calls: state machines may do what it may."`
	ExternalID string `json:"external_id,omitzero" jsonschema:"External ID that the role's trust policy asks for."`
	FIPS       bool   `json:"fips,omitzero" jsonschema:"Call the endpoints that are validated by FIPS 140. Default: false."`
	Endpoint   string `json:"endpoint,omitzero" jsonschema:"URL instead of each service's own: an emulator."`
}

// Settings are those with which the services are called.
func (s *Services) Settings() awsaccess.Settings {
	return awsaccess.Settings{Region: s.Region, Profile: s.Profile, Role: s.Role, ExternalID: s.ExternalID, FIPS: s.FIPS}
}

func (d *decoder) checkServices(at string, s *Services) {
	if s == nil {
		return
	}
	if s.Region != "" && !regionName.MatchString(s.Region) && !d.unresolved[at+".region"] {
		d.failValue(at+".region", "%q is not the name of a region, such as eu-west-1", s.Region)
	}
	d.checkRole(at, s.Role, s.ExternalID)
	d.checkURL(at+".endpoint", s.Endpoint)
}
