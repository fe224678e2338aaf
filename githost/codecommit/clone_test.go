package codecommit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/internal/awsaccess"
	"switchyard/internal/codecommittest"
)

const sessionToken = "to/ken+with=%and more"

// withKeys is a client with credentials of the environment.
func withKeys(t *testing.T, token string, opts ...Option) *Client {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", codecommittest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", codecommittest.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", token)
	c, err := New(t.Context(), Config{Source: "codecommit", Settings: awsaccess.Settings{Region: codecommittest.Region}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The AWS command line signs the same.
func TestCloneCredentialsAreThoseOfTheAWSCommandLine(t *testing.T) {
	cli := os.Getenv("SWITCHYARD_AWS_CLI")
	if cli == "" {
		cli = "aws"
	}
	if _, err := exec.LookPath(cli); err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, token := range []string{"", sessionToken} {
		var now time.Time
		c := withKeys(t, token, WithClock(func() time.Time { return now }))
		for _, name := range []string{"api", "a.b_c-d"} {
			cmd := exec.CommandContext(t.Context(), cli, "codecommit", "credential-helper", "get")
			cmd.Stdin = strings.NewReader("protocol=https\nhost=" + codecommittest.GitHost + "\npath=v1/repos/" + name + "\n\n")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSpace(string(out))
			_, stamp, _ := strings.Cut(want, "password=")
			if now, err = time.Parse(stampFormat, stamp[:len(stampFormat)]); err != nil {
				t.Fatal(err)
			}
			user, password, err := c.CloneCredentials(t.Context(), "https://"+codecommittest.GitHost+"/v1/repos/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if got := "username=" + user + "\npassword=" + password; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

// Git gets in with them, and not to another repository.
func TestGitFetchesWithCloneCredentials(t *testing.T) {
	server := codecommittest.New(t)
	for _, name := range []string{"api", "web"} {
		r := codecommittest.NewRepo(t, name)
		r.Commit("main", "one", map[string]string{"file": "content"})
		server.Add(r)
	}
	user, password, err := withKeys(t, sessionToken).CloneCredentials(t.Context(), "https://"+codecommittest.GitHost+"/v1/repos/api")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"api": true, "web": false} {
		to := filepath.Join(t.TempDir(), name)
		cmd := exec.CommandContext(t.Context(), "git", "-c", `credential.helper=!f() { printf 'username=%s\npassword=%s\n' "$U" "$P"; }; f`, "clone", "-q", server.URL+"/v1/repos/"+name, to)
		cmd.Env = append(os.Environ(), "U="+user, "P="+password, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "no_proxy=127.0.0.1")
		out, err := cmd.CombinedOutput()
		if (err == nil) != want {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if text, err := os.ReadFile(filepath.Join(to, "file")); want && (err != nil || string(text) != "content") {
			t.Errorf("%q, %v", text, err)
		}
	}
}
