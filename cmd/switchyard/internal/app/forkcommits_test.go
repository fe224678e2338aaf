package app

import (
	"context"
	"errors"
	"testing"

	"switchyard/config"
	"switchyard/dispatch"
)

func TestForkCommitsAreThoseOfTheRepositoryThatIsBuilt(t *testing.T) {
	cfg, err := config.Parse("switchyard.yaml", []byte(`
sources:
  github: {secrets: [s]}
  plain: {provider: git, secrets: [s], repositories: {tool: /srv/git/tool.git}}
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	f := newForkCommits(cfg)
	if fork, err := f.known(t.Context(), "https://github.com/acme/api.git", "c"); fork || err != nil {
		t.Errorf("without a journal: %v %v", fork, err)
	}
	offered := dispatch.Holder{Source: "github", Repository: "acme/api"}
	held := dispatch.Holder{Source: "github", Repository: "eve/api", Own: true}
	local := dispatch.Holder{Source: "plain", Repository: "tool", Own: true}
	for name, row := range map[string]struct {
		url   string
		found []dispatch.Holder
		want  bool
	}{
		"nobody knows it":                 {"https://github.com/acme/api.git", nil, false},
		"the repository it is offered to": {"https://github.com/acme/api.git", []dispatch.Holder{held, offered}, true},
		"in other words":                  {"https://GitHub.com:443/acme/api", []dispatch.Holder{held, offered}, true},
		"the fork, which is a source too": {"https://github.com/eve/api.git", []dispatch.Holder{offered, held}, false},
		"a path of this machine":          {"/srv/git/tool.git", []dispatch.Holder{offered, local}, false},
		"the same as a URL":               {"file:///srv/git/tool.git", []dispatch.Holder{offered, local}, false},
		"somewhere else":                  {"git@github.com:acme/api.git", []dispatch.Holder{held, offered}, true},
		"somewhere else, of its own":      {"git@github.com:acme/api.git", []dispatch.Holder{held, local}, false},
	} {
		f.use(func(context.Context, string) ([]dispatch.Holder, error) { return row.found, nil })
		if fork, err := f.known(t.Context(), row.url, "c"); fork != row.want || err != nil {
			t.Errorf("%s: %v %v, want %v", name, fork, err, row.want)
		}
	}
	f.use(func(context.Context, string) ([]dispatch.Holder, error) { return nil, errors.New("busy") })
	if _, err := f.known(t.Context(), "https://github.com/acme/api.git", "c"); err == nil {
		t.Error("a journal that can't be read answers")
	}
}
