//go:build unix

package build

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// documented are the variables of "Environment variables in build environments"
// in CodeBuild's user guide, with those of its runners and one of the variables
// for secondary sources. The values are patterns of what a build has that a push
// to main has started; "" where it has none.
var documented = map[string]string{
	"AWS_DEFAULT_REGION":                 `eu-central-1`,
	"AWS_REGION":                         `eu-central-1`,
	"CODEBUILD_BATCH_BUILD_IDENTIFIER":   "",
	"CODEBUILD_BUILD_ARN":                `arn:aws:codebuild:eu-central-1:123456789012:build/app:[0-9a-f-]{36}`,
	"CODEBUILD_BUILD_ID":                 `app:[0-9a-f-]{36}`,
	"CODEBUILD_BUILD_IMAGE":              "",
	"CODEBUILD_BUILD_NUMBER":             `1`,
	"CODEBUILD_BUILD_SUCCEEDING":         `1`,
	"CODEBUILD_INITIATOR":                `states/run-1`,
	"CODEBUILD_KMS_KEY_ID":               "",
	"CODEBUILD_LOG_PATH":                 `t`,
	"CODEBUILD_PROJECT_ARN":              `arn:aws:codebuild:eu-central-1:123456789012:project/app`,
	"CODEBUILD_PUBLIC_BUILD_URL":         "",
	"CODEBUILD_RESOLVED_SOURCE_VERSION":  `[0-9a-f]{40}`,
	"CODEBUILD_SOURCE_REPO_URL":          `/.*/app\.git`,
	"CODEBUILD_SOURCE_VERSION":           `refs/heads/main`,
	"CODEBUILD_SRC_DIR":                  `/.*/src`,
	"CODEBUILD_SRC_DIR_second":           "",
	"CODEBUILD_START_TIME":               `[0-9]{13}`,
	"CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "",
	"CODEBUILD_WEBHOOK_BASE_REF":         "",
	"CODEBUILD_WEBHOOK_EVENT":            `PUSH`,
	"CODEBUILD_WEBHOOK_HEAD_REF":         `refs/heads/main`,
	"CODEBUILD_WEBHOOK_JOB_ID":           "",
	"CODEBUILD_WEBHOOK_LABEL":            "",
	"CODEBUILD_WEBHOOK_MERGE_COMMIT":     "",
	"CODEBUILD_WEBHOOK_PREV_COMMIT":      "",
	"CODEBUILD_WEBHOOK_RUN_ID":           "",
	"CODEBUILD_WEBHOOK_TRIGGER":          `branch/main`,
	"CODEBUILD_WEBHOOK_WORKFLOW_NAME":    "",
	"CODEBUILD_RUNNER_OWNER":             "",
	"CODEBUILD_RUNNER_REPO":              "",
	"CODEBUILD_RUNNER_REPO_DOMAIN":       "",
	"CODEBUILD_RUNNER_WITH_BUILDSPEC":    "",
	"HOME":                               `/.*/home`,
}

// printing is a buildspec that prints variables as NAME=[value].
func printing(names ...string) string {
	var b strings.Builder
	b.WriteString("version: 0.2\nphases:\n  build:\n    commands:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "      - 'echo \"%s=[${%s-unset}]\"'\n", name, name)
	}
	return b.String()
}

// printed is what such a build had.
func printed(log string) map[string]string {
	had := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Za-z_]+)=\[(.*)\]$`).FindAllStringSubmatch(log, -1) {
		had[m[1]] = m[2]
	}
	return had
}

// Every variable that CodeBuild documents is set to the right value, or the
// build is told before its commands run that it is not, and why.
func TestDocumentedVariablesAreSetOrNamed(t *testing.T) {
	var names []string
	for name := range documented {
		names = append(names, name)
	}
	r := newRepo(t)
	r.spec(printing(names...))
	h := newHandler(t, Config{Region: "eu-central-1"})
	b := run(t, h, about(newTask(t, "t", input{"SourceVersion": "refs/heads/main", "SourceLocationOverride": r.bare}), "github", "acme/app"))
	if b.err != nil {
		t.Fatal(b.messages())
	}
	had := printed(b.log)
	first, _, _ := strings.Cut(b.log, "entering phase BUILD")
	for name, want := range documented {
		said := strings.Contains(first, name+" is used in phase build and is not set: ")
		switch {
		case want == "" && (had[name] != "unset" || !said):
			t.Errorf("%s is %q, and the log does not say that it is not set", name, had[name])
		case want != "" && (said || !regexp.MustCompile("^"+want+"$").MatchString(had[name])):
			t.Errorf("%s is %q, want %s", name, had[name], want)
		}
	}
	for name := range never {
		if want, ok := documented[name]; !ok || want != "" {
			t.Errorf("%s is never set, and the documented list has %q", name, want)
		}
	}
}

func TestWebhookVariablesFollowTheEvent(t *testing.T) {
	names := []string{"CODEBUILD_WEBHOOK_EVENT", "CODEBUILD_WEBHOOK_HEAD_REF", "CODEBUILD_WEBHOOK_TRIGGER"}
	r := newRepo(t)
	r.spec(printing(names...))
	h := newHandler(t, Config{})
	const u = "unset"
	n := 0 // each build has a log of its own
	for source, want := range map[string][3]string{
		`{"event":"push","ref":"refs/heads/feature/a b"}`:                         {"PUSH", "refs/heads/feature/a b", "branch/feature/a b"},
		`{"event":"push","ref":"refs/tags/v1"}`:                                   {"PUSH", "refs/tags/v1", "tag/v1"},
		`{"event":"pull_request","ref":"refs/heads/feature/a","pull_request":12}`: {u, "refs/heads/feature/a", "pr/12"},
		`{"event":"delete","ref":"refs/heads/feature/a"}`:                         {u, u, u},
		`{"ref":"refs/heads/feature/a"}`:                                          {u, u, u},
		`{}`:                                                                      {u, u, u},
	} {
		n++
		tk := newTask(t, fmt.Sprintf("t%d", n), input{"SourceLocationOverride": r.bare})
		tk.Origin = OriginOf([]byte(`{"source":` + source + `}`))
		b := run(t, h, tk)
		had := printed(b.log)
		for i, name := range names {
			if had[name] != want[i] {
				t.Errorf("%s: %s is %q, want %q", source, name, had[name], want[i])
			}
			if said := strings.Contains(b.log, name+" is used in phase build and is not set"); said != (want[i] == u) {
				t.Errorf("%s: the log says that %s is not set: %v", source, name, said)
			}
		}
	}
}

// Without a region none is set: the wrong one would be taken for right. Who sets
// it otherwise is not told anything.
func TestRegionOfBuilds(t *testing.T) {
	const uses = "version: 0.2\nphases:\n  pre_build:\n    commands: ['echo registry 1234.dkr.ecr.$AWS_REGION.amazonaws.com']\n  build:\n    commands: ['echo ${AWS_DEFAULT_REGION:-none} region ${AWS_REGION:-none}']\n"
	const note = "AWS_REGION is used in phase pre_build and is not set: this machine is in no region; set engine.embedded.builds.region"
	r := newRepo(t)
	plain := r.spec(uses)
	assigned := r.spec(strings.Replace(uses, "commands: ['echo registry", "commands: ['export AWS_REGION=eu-west-3', 'echo registry", 1))
	for _, tc := range []struct {
		name   string
		cfg    Config
		commit string
		in     []variable
		want   string
		noted  bool
	}{
		{"nowhere", Config{}, plain, nil, "none region none", true},
		{"by the config", Config{Region: "eu-west-1"}, plain, nil, "eu-west-1 region eu-west-1", false},
		{"by the project", Config{Region: "eu-west-1", Projects: map[string]Project{"app": {Env: map[string]string{"AWS_REGION": "eu-west-2"}}}}, plain, nil, "eu-west-1 region eu-west-2", false},
		{"by the input", Config{}, plain, []variable{{"AWS_REGION", "us-west-2", plaintext}}, "none region us-west-2", false},
		{"by a command", Config{}, assigned, nil, "none region eu-west-3", false},
	} {
		b := run(t, newHandler(t, tc.cfg), newTask(t, "t", input{"SourceVersion": tc.commit, "SourceLocationOverride": r.bare, "EnvironmentVariablesOverride": tc.in}))
		if b.err != nil || !strings.Contains(b.log, "\n"+tc.want+"\n") {
			t.Errorf("%s: %v, want %s\n%s", tc.name, b.err, tc.want, b.log)
		}
		if strings.Contains(b.log, note) != tc.noted {
			t.Errorf("%s: noted %v\n%s", tc.name, !tc.noted, b.log)
		}
	}
}
