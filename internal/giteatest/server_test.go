package giteatest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"switchyard/internal/giteatest"
)

// recorded is what Gitea 1.26 answered.
type recorded struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

func host(t *testing.T) (*giteatest.Server, *giteatest.Repo) {
	t.Helper()
	s := giteatest.New(t)
	s.AddToken(giteatest.Token{Text: "adas", Login: "ada", Scopes: []string{"write:repository", "write:issue"}})
	s.AddToken(giteatest.Token{Text: "bens", Login: "ben", Scopes: []string{"write:repository"}})
	return s, s.AddRepo("ada/app")
}

// Each answer has the status that the host gave in the same case, no member that
// the host's has not, and of each the host's type.
func TestAnswersAreAsRecorded(t *testing.T) {
	text, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]recorded
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	s, repo := host(t)
	ids := repo.Chain("main", 4)
	empty := s.AddRepo("ada/empty")
	fork := s.AddRepo("ben/app")
	fork.Git("fetch", "-q", repo.Dir, "main:main")
	repo.Chain("topic", 1)
	repo.OpenPull(repo, "topic", "main", "a topic", "ada")
	fork.Chain("from-fork", 1)
	repo.OpenPull(fork, "from-fork", "main", "from a fork", "ben")
	s.AddRepo("ada/former").Rename("ada/renamed")
	const unknown = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
	status := `{"state": "pending", "context": "switchyard/build", "description": "started", "target_url": "https://ci.example.test"}`
	for name, ask := range map[string]struct{ method, path, token, body string }{
		"commits-empty-repo":      {"GET", "/repos/ada/empty/commits?sha=main", "adas", ""},
		"hook-created":            {"POST", "/repos/ada/app/hooks", "adas", `{"type": "gitea", "active": true, "config": {"url": "http://127.0.0.1:1/x", "content_type": "json", "secret": "s"}, "events": ["push"]}`},
		"permission-owner":        {"GET", "/repos/ada/app/collaborators/ada/permission", "adas", ""},
		"permission-unknown-user": {"GET", "/repos/ada/app/collaborators/nobody/permission", "adas", ""},
		"commits-limit3":          {"GET", "/repos/ada/app/commits?sha=main&limit=3", "adas", ""},
		"commits-unknown-sha":     {"GET", "/repos/ada/app/commits?limit=3&sha=" + unknown, "adas", ""},
		"git-commit":              {"GET", "/repos/ada/app/git/commits/" + ids[3], "adas", ""},
		"git-commit-unknown":      {"GET", "/repos/ada/app/git/commits/" + unknown, "adas", ""},
		"branch":                  {"GET", "/repos/ada/app/branches/main", "", ""},
		"branch-unknown":          {"GET", "/repos/ada/app/branches/nope", "adas", ""},
		"pulls-open":              {"GET", "/repos/ada/app/pulls?state=open&limit=1", "adas", ""},
		"status-pending":          {"POST", "/repos/ada/app/statuses/" + ids[3], "adas", status},
		"status-unknown-sha":      {"POST", "/repos/ada/app/statuses/" + unknown, "adas", status},
		"status-bad-token":        {"POST", "/repos/ada/app/statuses/" + ids[3], "nobodys", status},
		"status-no-token":         {"POST", "/repos/ada/app/statuses/" + ids[3], "", status},
		"status-no-rights":        {"POST", "/repos/ada/app/statuses/" + ids[3], "bens", status},
		"status-unknown-repo":     {"POST", "/repos/ada/nope/statuses/" + ids[3], "adas", status},
		"repo-empty":              {"GET", "/repos/ada/empty", "adas", ""},
		"repo-renamed-old-name":   {"GET", "/repos/ada/former", "adas", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want, ok := all[name]
			if !ok {
				t.Fatal("not recorded")
			}
			request, err := http.NewRequestWithContext(t.Context(), ask.method, s.URL+"/api/v1"+ask.path, strings.NewReader(ask.body))
			if err != nil {
				t.Fatal(err)
			}
			if ask.token != "" {
				request.Header.Set("Authorization", "token "+ask.token)
			}
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			said, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != want.Status {
				t.Fatalf("%d %s, and the host answered %d", response.StatusCode, said, want.Status)
			}
			for header := range want.Headers {
				if response.Header.Get(header) == "" && header != "X-Total" {
					t.Errorf("header %s is not there", header)
				}
			}
			var got any
			if err := json.Unmarshal(said, &got); err != nil && want.Body != nil {
				t.Fatal(err)
			}
			for _, p := range differences("", want.Body, got) {
				t.Error(p)
			}
		})
	}
	if repo.Statuses()[0].SHA != ids[3] || len(empty.Statuses()) != 0 {
		t.Errorf("%v", repo.Statuses())
	}
}

// differences are the members of got that want does not have, or has of another
// type.
func differences(at string, want, got any) (all []string) {
	switch g := got.(type) {
	case nil:
		return nil
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: an object, and the host has %T", at, want)}
		}
		for key, value := range g {
			if _, ok := w[key]; !ok {
				all = append(all, at+"."+key+": the host has no such member")
				continue
			}
			if w[key] != nil {
				all = append(all, differences(at+"."+key, w[key], value)...)
			}
		}
	case []any:
		w, ok := want.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s: a list, and the host has %T", at, want)}
		}
		if len(w) > 0 && len(g) > 0 {
			all = differences(at+"[0]", w[0], g[0])
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			return []string{fmt.Sprintf("%s: %T, and the host has %T", at, got, want)}
		}
	}
	return all
}
