package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/awsaccess"
)

func TestServicesOfTheEmbeddedEngine(t *testing.T) {
	c := parseText(t, `
engine:
  embedded:
    aws: {region: eu-west-1, profile: ci, role: "arn:aws:iam::012345678901:role/pipelines", external_id: e, fips: true, endpoint: "http://127.0.0.1:4566"}
`)
	want := awsaccess.Settings{Region: "eu-west-1", Profile: "ci", Role: "arn:aws:iam::012345678901:role/pipelines", ExternalID: "e", FIPS: true}
	if diff := cmp.Diff(want, c.Engine.Embedded.AWS.Settings()); diff != "" || c.Engine.Embedded.AWS.Endpoint != "http://127.0.0.1:4566" {
		t.Error(c.Engine.Embedded.AWS.Endpoint, diff)
	}
}
