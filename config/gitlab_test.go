package config

import (
	"strings"
	"testing"

	"switchyard/dispatch/status"
	githostgitlab "switchyard/githost/gitlab"
)

func TestGitLabWithAToken(t *testing.T) {
	c := parseText(t, "sources:\n  lab: {provider: gitlab, secrets: [a, whsec_x], token: t, base_url: \"https://git.example.com/lab\"}\n  gitlab: {secrets: s}\nstatus: {per_minute: 7}\n")
	host, ok := c.GitLabHost("lab")
	if want := (githostgitlab.Config{Source: "lab", BaseURL: "https://git.example.com/lab", Token: "t"}); !ok || host != want {
		t.Errorf("%+v %v", host, ok)
	}
	if st, ok := c.GitLabStatus("lab"); !ok || st.Limits != (status.Limits{PerMinute: 7, PerHour: 500, Concurrent: 4}) {
		t.Errorf("%+v %v", st, ok)
	}
	tells := c.DispatchConfig().Statuses
	if _, ok := c.GitLabHost("gitlab"); ok || tells("gitlab") || !tells("lab") {
		t.Error("without a token nobody is told")
	}
}

func TestGitLabHasNoKeysOfOthers(t *testing.T) {
	_, err := Parse("switchyard.yaml", []byte("sources: {gitlab: {secrets: s, app: {id: 1, private_key: k}, region: eu-west-1}}\n"), env())
	if err == nil || !strings.Contains(err.Error(), "sources.gitlab.app") || !strings.Contains(err.Error(), "sources.gitlab.region") {
		t.Errorf("%v", err)
	}
	if _, err = Parse("switchyard.yaml", []byte("sources: {gitlab: {token: t}}\n"), env()); err == nil || !strings.Contains(err.Error(), "secrets is missing") {
		t.Errorf("%v", err)
	}
}
