package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch/status"
	githostbitbucket "switchyard/githost/bitbucket"
	githostbitbucketserver "switchyard/githost/bitbucketserver"
)

func TestBitbucketSources(t *testing.T) {
	c := parseText(t, `
sources:
  bitbucket: {secrets: s, token: t, user: ada@example.test, base_url: "https://api.example.test/2.0", clone_base: "https://mirror.example.test"}
  bitbucket-server: {secrets: s, token: t, user: ada, base_url: "https://bitbucket.example.test/rest/api/latest/"}
  silent: {provider: bitbucket, secrets: s}
status: {per_minute: 3, per_hour: 5, concurrent: 7}
`)
	cloud, ok := c.BitbucketHost("bitbucket")
	if diff := cmp.Diff(githostbitbucket.Config{Source: "bitbucket", BaseURL: "https://api.example.test/2.0", CloneBase: "https://mirror.example.test", User: "ada@example.test", Token: "t"}, cloud); diff != "" || !ok {
		t.Error(ok, diff)
	}
	server, ok := c.BitbucketServerHost("bitbucket-server")
	if diff := cmp.Diff(githostbitbucketserver.Config{Source: "bitbucket-server", BaseURL: "https://bitbucket.example.test", User: "ada", Token: "t"}, server); diff != "" || !ok {
		t.Error(ok, diff)
	}
	limits := status.Limits{PerMinute: 3, PerHour: 5, Concurrent: 7}
	if got, ok := c.BitbucketStatus("bitbucket"); !ok || got.Limits != limits {
		t.Error(got, ok)
	}
	if got, ok := c.BitbucketServerStatus("bitbucket-server"); !ok || got.Limits != limits {
		t.Error(got, ok)
	}
	for source, told := range map[string]bool{"bitbucket": true, "bitbucket-server": true, "silent": false} {
		if c.DispatchConfig().Statuses(source) != told {
			t.Errorf("%s is told: %v", source, !told)
		}
	}
	if _, ok := c.BitbucketHost("bitbucket-server"); ok {
		t.Error("a Data Center is taken for the cloud")
	}
}
