//go:build unix

package build

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"switchyard/asl/task"
)

// forkTask is a task of an execution that a fork's pull request has started.
func forkTask(t testing.TB, id string, in input) task.Task {
	t.Helper()
	tk := newTask(t, id, in)
	tk.Origin = OriginOf([]byte(`{"commit":{"sha":"abc"},"source":{"repository":"acme/app","ref":"refs/heads/main","pull_request":12,"fork":true,"head_repository":"stranger/app"}}`))
	return tk
}

func TestOriginOfExecutionInputs(t *testing.T) {
	for input, want := range map[string]string{
		`{"commit":{"sha":"abc"},"source":{"clone_url":"u","ref":"refs/heads/x","event":"push"}}`:   `{"event":"push","commit":"abc","clone_url":"u","ref":"refs/heads/x"}`,
		`{"source":{"ref":"refs/heads/x","pull_request":12,"fork":true,"head_repository":"s/app"}}`: `{"ref":"refs/heads/x","pull_request":12,"fork":true,"head_repository":"s/app"}`,
		`{"source":{"fork":false,"ref":"r"}}`:                                                       `{"ref":"r"}`,
		`{"source":{"fork":null}}`:                                                                  `{}`,
		`{"source":{"fork":"no"}}`:                                                                  `{"fork":true}`,
		`{"source":{"fork":0,"ref":7}}`:                                                             `{"fork":true}`,
		`{"source":{"Fork":true}}`:                                                                  `{"fork":true}`,
		`{"source":"acme/app"}`:                                                                     `{"fork":true}`,
		`{"source":{},"commit":"abc"}`:                                                              `{}`,
		`{"source":{"fork":true,"ref":"` + strings.Repeat("x", maxOrigin) + `","pull_request":3}}`:  `{"pull_request":3,"fork":true}`,
		`{"source": null}`:                                                                          ``, `{"commit":{"sha":"abc"}}`: ``, `[]`: ``, `7`: ``, `{`: ``,
	} {
		if got := string(OriginOf([]byte(input))); got != want {
			t.Errorf("%.200s: %s, want %s", input, got, want)
		}
	}
	if o := readOrigin(json.RawMessage(`{"fork":`)); !o.Fork {
		t.Error("an origin that can't be read is trusted")
	}
}

// connects says CONNECTED where a build reaches the loopback of this machine.
const connects = `perl -MSocket -e 'socket(S,AF_INET,SOCK_STREAM,0) and connect(S,pack_sockaddr_in($ENV{PORT},inet_aton("127.0.0.1"))) or exit 1' && echo CONNECTED || true`

// listens on a port of the loopback and returns its number.
func listens(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// forkSpec shows what a build can get hold of.
const forkSpec = `version: 0.2
phases:
  build:
    commands:
      - env
      - for p in /proc/[0-9]*; do tr '\0' '\n' < $p/environ || true; tr '\0' ' ' < $p/cmdline || true; done
      - git config --list --show-origin
      - cat .git/config
      - printf 'protocol=http\nhost=%s\n\n' "$SERVER" | GIT_TERMINAL_PROMPT=0 git credential fill || echo no credentials
      - grep -rqs 'hunter[2]-' ../.. && echo FOUND in files || true
      - cut -d':' -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | sed 's/^/interface /'
      - ` + connects + `
      - ls -A $CACHE | sed 's/^/cached /'; echo poison > $CACHE/planted
`

// TestBuildOfAForkGetsNothingOfTheProject runs one buildspec for the
// repository's own commit and for a fork's: what the first sees shows that
// there is something to see.
func TestBuildOfAForkGetsNothingOfTheProject(t *testing.T) {
	needBubblewrap(t)
	const secret, password = "hunter2-in-the-project", "hunter2-of-the-clone"
	cache := t.TempDir()
	if err := os.WriteFile(filepath.Join(cache, "of-all"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	commit := r.spec(forkSpec)
	url := gitServer(t, r, password)
	h := newHandler(t, Config{
		Writable: []string{cache},
		Projects: map[string]Project{"app": {CloneURL: url, Env: map[string]string{"TOKEN": secret},
			Secrets: map[string]Secret{"store": {Value: "hunter2-in-the-store", Variable: "STORED"}}}},
	}, WithAccess(&tokens{password: password}))
	vars := []variable{
		{Name: "CACHE", Value: cache}, {Name: "SERVER", Value: strings.Split(url, "/")[2]},
		{Name: "PORT", Value: listens(t)},
	}
	in := input{"SourceVersion": commit, "EnvironmentVariablesOverride": vars}

	own := run(t, h, newTask(t, "own", in))
	if own.err != nil {
		t.Fatalf("%s\n%s", own.messages(), own.log)
	}
	own.wantLog(t, "\nTOKEN="+secret, "\nSTORED=***", "\nCONNECTED", "\ncached of-all")
	if err := os.Remove(filepath.Join(cache, "planted")); err != nil {
		t.Fatal(err)
	}

	fork := run(t, h, forkTask(t, "fork", in))
	if fork.err != nil {
		t.Fatalf("%s\n%s", fork.messages(), fork.log)
	}
	fork.wantLog(t, `pull request 12 of the fork "stranger/app": this build runs without network, secrets or the project's environment`, "no credentials")
	for _, bad := range []string{"hunter2", "\nTOKEN=", "\nSTORED=", "\nFOUND", "\nCONNECTED", "\ninterface eth", "\ncached "} {
		if strings.Contains(fork.log, bad) {
			t.Errorf("the build of a fork shows %q:\n%s", bad, fork.log)
		}
	}
	if _, err := os.Stat(filepath.Join(cache, "planted")); err == nil {
		t.Error("the build of a fork has written to what all builds share")
	}
	if text, _ := json.Marshal(fork.result); strings.Contains(string(text), "hunter2") {
		t.Errorf("the result holds the project's environment: %s", text)
	}
	if lines := strings.SplitN(fork.log, "\n", 3); !strings.Contains(lines[1], "the commit comes from") {
		t.Errorf("the log begins with %q", lines[:2])
	}
}

func TestForkNetworkIsTheProjectsToAllow(t *testing.T) {
	needBubblewrap(t)
	port := listens(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases:\n  build:\n    commands:\n      - " + connects + "\n")
	for name, row := range map[string]struct {
		project Project
		want    bool
	}{
		"by default":       {Project{}, false},
		"allowed":          {Project{ForkNetwork: NetworkHost}, true},
		"only for forks":   {Project{ForkNetwork: NetworkHost, Network: NetworkNone}, true},
		"none for anybody": {Project{ForkNetwork: NetworkNone, Network: NetworkNone}, false},
	} {
		t.Run(name, func(t *testing.T) {
			row.project.CloneURL = r.bare
			h := newHandler(t, Config{Projects: map[string]Project{"app": row.project}})
			b := run(t, h, forkTask(t, "t", input{"SourceVersion": commit, "EnvironmentVariablesOverride": []variable{{Name: "PORT", Value: port}}}))
			if b.err != nil {
				t.Fatalf("%s\n%s", b.messages(), b.log)
			}
			if got := strings.Contains(b.log, "\nCONNECTED\n"); got != row.want {
				t.Errorf("network %v, want %v:\n%s", got, row.want, b.log)
			}
			if got := strings.Contains(b.log, "without network"); got == row.want {
				t.Errorf("the log says:\n%s", b.log)
			}
		})
	}
}

func TestBuildOfAForkThatAsksForSecretsFails(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nenv: {parameter-store: {TOKEN: /ci/token}, secrets-manager: {KEY: 'ci:key'}}\nphases: {build: {commands: [env]}}\n")
	h := newHandler(t, Config{
		Projects: map[string]Project{"app": {CloneURL: r.bare, Env: map[string]string{"TOKEN": "hunter2", "OTHER": "hunter2"},
			Secrets: map[string]Secret{"/ci/token": {Value: "hunter2"}, "ci": {Value: `{"key":"hunter2"}`}}}},
	})
	b := run(t, h, forkTask(t, "spec", input{"SourceVersion": commit}))
	for _, want := range []string{"TOKEN asks for parameter-store /ci/token", "KEY asks for secrets-manager ci:key"} {
		if want = "builds of commits from forks get no secrets, and " + want; b.err == nil || !strings.Contains(b.messages(), want) {
			t.Errorf("%v %s\nwant %s", b.err, b.messages(), want)
		}
	}
	for _, kind := range []string{parameterStore, secretsManager} {
		_, err := h.Run(t.Context(), forkTask(t, kind, input{"SourceVersion": commit, "BuildspecOverride": trueSpec,
			"EnvironmentVariablesOverride": []variable{{Name: "OTHER", Value: "/ci/token", Type: kind}}}))
		if err == nil || !strings.Contains(err.Error(), "get no secrets, and OTHER asks for ") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A commit that is known from forks alone is a fork's, whatever the execution
// says that builds it.
func TestCommitOfAForkIsKnownByItself(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	own := r.spec("version: 0.2\nphases: {build: {commands: ['echo \"token ${TOKEN-none}\"']}}\n")
	theirs := r.commit(nil)
	r.git(r.work, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")
	asked := 0
	var broken error
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare, Env: map[string]string{"TOKEN": "hunter2"}}}},
		WithForkCommits(func(_ context.Context, cloneURL, commit string) (bool, error) {
			if cloneURL != r.bare {
				t.Errorf("asked about %s", cloneURL)
			}
			if asked++; broken != nil && asked == 1 {
				return false, broken
			}
			return commit == theirs, nil
		}))
	for _, row := range []struct{ name, version, want string }{
		{"own", own, "token hunter2"}, {"theirs", theirs, "token none"}, {"by name", "refs/pull/7/head", "token none"}, {"by number", "pr/7", "token none"},
	} {
		tk := newTask(t, pathName(row.name), input{"SourceVersion": row.version})
		tk.Origin = OriginOf([]byte(`{"source":{"ref":"refs/heads/main","event":"push"}}`))
		b := run(t, h, tk)
		b.wantLog(t, "\n"+row.want+"\n")
		if fork := strings.Contains(b.log, "comes from a fork"); b.err != nil || fork != (row.want == "token none") {
			t.Errorf("%s: %v\n%s", row.name, b.err, b.log)
		}
		if text, _ := json.Marshal(b.result); row.want == "token none" && strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: the result holds the project's environment: %s", row.name, text)
		}
	}
	// Where that can't be found out the build waits.
	asked, broken = 0, errors.New("the journal is busy")
	b := run(t, h, newTask(t, "broken", input{"SourceVersion": theirs}))
	if b.err != nil || asked != 2 {
		t.Errorf("asked %d times: %v", asked, b.err)
	}
	b.wantLog(t, "the journal is busy", "token none")
}

// A build that is taken over from a killed process stays what it was, also
// where the commit has become the repository's own meanwhile.
func TestForkStaysAForkOverARestart(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nenv: {exported-variables: [TOKEN]}\nphases: {build: {commands: ['true']}}\n")
	project := map[string]Project{"app": {CloneURL: r.bare, Env: map[string]string{"TOKEN": "hunter2"}}}
	fork := true
	h := newHandler(t, Config{Projects: project}, WithForkCommits(func(context.Context, string, string) (bool, error) { return fork, nil }))
	tk := newTask(t, "t", input{"SourceVersion": commit})
	req, err := h.parse(tk, false)
	if err != nil {
		t.Fatal(err)
	}
	lf, err := h.logs.create(tk, 1<<20, h.now)
	if err != nil {
		t.Fatal(err)
	}
	defer lf.finish()
	if err := lf.hold(); err != nil {
		t.Fatal(err)
	}
	s := h.newSession(tk, req, lf, h.newResult(tk, req, h.now()))
	if s.out, err = newOutput(lf); err != nil {
		t.Fatal(err)
	}
	defer s.out.close()
	if err := s.download(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.record("BUILD"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.control("env"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	fork = false
	after := h.newSession(tk, req, lf, h.newResult(tk, req, h.now()))
	if _, err := after.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, there := after.env.values["TOKEN"]; !after.req.fork || there || len(after.res.Environment.EnvironmentVariables) != 0 {
		t.Errorf("after the restart: fork %v, environment %v, result %v", after.req.fork, after.env.values, after.res.Environment)
	}
}

func TestCommitsOfForksAreNotBuiltWithoutIsolation(t *testing.T) {
	r := newRepo(t)
	marker := filepath.Join(t.TempDir(), "ran")
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['touch " + marker + "']}}\n")
	h := newHandler(t, Config{Isolation: IsolationNone, Projects: map[string]Project{"app": {CloneURL: r.bare}}})
	b := run(t, h, forkTask(t, "t", input{"SourceVersion": commit}))
	if b.err == nil || !strings.Contains(b.messages(), "built in isolation only, and here builds are not isolated: isolation is set to none") {
		t.Errorf("%v %s", b.err, b.messages())
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the build ran")
	}
}
