//go:build unix

package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gocmp "github.com/google/go-cmp/cmp"

	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
	"switchyard/internal/awstest"
	"switchyard/internal/githubtest"
)

// goesOut is the buildspec of a component: what it deploys is in the file release, and
// one whose release is broken fails.
const goesOut = `version: 0.2
env: {exported-variables: [WENT_OUT]}
phases:
  build:
    commands:
      - RELEASE=$(cat release)
      - test "$RELEASE" != broken
      - export WENT_OUT="$COMPONENT $RELEASE to $ENVIRONMENT"
`

// deployRig is a host with a repository for each component, and a service that
// deploys a push to one of them beside the others' default branches.
type deployRig struct {
	*service
	repos map[string]*githubtest.Repo
	// heads are the commits of the default branches, by component.
	heads map[string]string
}

// newDeployRig starts both, with a definition, and more below engine.embedded.
func newDeployRig(t *testing.T, definition []byte, more string) *deployRig {
	t.Helper()
	gh := githubtest.New(t)
	api := gh.Start()
	r := &deployRig{repos: map[string]*githubtest.Repo{}, heads: map[string]string{}}
	var projects, routes strings.Builder
	for _, c := range pipelines.DefaultComponents {
		repo := gh.AddRepo("acme/" + c.Project)
		r.heads[c.Name] = repo.Commit("main", "first", map[string]string{"buildspec.yml": goesOut, "release": "main of " + c.Name})
		r.repos[c.Name] = repo
		fmt.Fprintf(&projects, "      %s: {repository: %q}\n", c.Project, repo.Dir)
		fmt.Fprintf(&routes, "  - {name: %[1]s, repositories: [acme/%[1]s], branches: [\"hotfix/**\"], state_machine: deploy, environment: \"dev-{{ .Branch | slug }}\", project: %[1]s, input: {skip_console_v1: true}}\n", c.Project)
	}
	hub := gh.AddApp(map[string]string{"checks": "write", "contents": "read"})
	hub.Install("acme")
	r.service = startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], app: {id: %d, private_key: %q}, base_url: %q}
state_machines: {deploy: {definition: test.asl.json}}
engine:
  embedded:%s
    projects:
%sroutes:
%s`, secret, hub.ID, hub.PrivateKey, api+"api/v3", more, projects.String(), routes.String()), string(definition))
	hub.SetHook("http://"+r.Addr().String()+"/webhooks/github", secret)
	return r
}

// wentOut is what each component's build deployed, or its status.
func wentOut(t *testing.T, x dispatch.Execution) map[string]string {
	t.Helper()
	type part struct {
		Status, Commit string
		Exported       struct {
			Text string `json:"WENT_OUT"`
		}
	}
	var out struct{ Components, Services map[string]part }
	if err := json.Unmarshal(x.Output, &out); err != nil {
		t.Fatalf("%v: %s %s %s", err, x.State, x.Error, x.Cause)
	}
	all := map[string]string{}
	for _, parts := range []map[string]part{out.Components, out.Services} {
		for name, c := range parts {
			all[name] = c.Status
			if c.Status == "deployed" {
				all[name] = c.Commit + " " + c.Exported.Text
			}
		}
	}
	return all
}

// byHand starts an execution and waits for its end, which makes n in all.
func (r *deployRig) byHand(t *testing.T, n int, input string) dispatch.Execution {
	t.Helper()
	id, err := r.client.Start(t.Context(), "deploy", []byte(input), "ada")
	if err != nil {
		t.Fatal(err)
	}
	r.settled(t, n)
	x, err := r.client.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// From a signed push to a finished deployment, with real builds of real
// repositories: each commit goes out by itself beside the others' default branches.
func TestAPushIsDeployedBesideTheDefaultBranches(t *testing.T) {
	r := newDeployRig(t, pipelines.Deploy, "")
	repo := r.repos["api_v2"]
	commit := func(release string) string {
		return repo.Commit("hotfix/tax", "Release "+release, map[string]string{"buildspec.yml": goesOut, "release": release})
	}
	first, broken, last := commit("one"), commit("broken"), commit("three")
	if d := repo.Push("hotfix/tax")[0]; d.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", d.StatusCode, d.Status)
	}
	for _, e := range r.settled(t, 3) {
		x, err := r.client.Execution(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if x.SHA == broken {
			want := "console_v1 skipped; console_v2 deployed; api_v1 deployed; api_v2 failed: "
			if x.State != dispatch.StateFailed || x.Error != "Switchyard.DeployFailed" || !strings.HasPrefix(x.Cause, want) || !strings.Contains(x.Cause, "exit status 1") {
				t.Errorf("%s %s: %s", x.State, x.Error, x.Cause)
			}
			continue
		}
		release := map[string]string{first: "one", last: "three"}[x.SHA]
		want := map[string]string{
			"console_v1": "skipped",
			"console_v2": fmt.Sprintf("%s console_v2 main of console_v2 to %s", r.heads["console_v2"], x.Environment),
			"api_v1":     fmt.Sprintf("%s api_v1 main of api_v1 to %s", r.heads["api_v1"], x.Environment),
			"api_v2":     fmt.Sprintf("%s api_v2 %s to %s", x.SHA, release, x.Environment),
		}
		if d := gocmp.Diff(want, wentOut(t, x)); d != "" {
			t.Errorf("%s (-want +got):\n%s", x.SHA, d)
		}
	}
	for sha, conclusion := range map[string]string{first: "success", broken: "failure", last: "success"} {
		eventually(t, "the commit is told", func() bool {
			for _, run := range repo.CheckRuns(sha) {
				return run.Conclusion == conclusion
			}
			return false
		})
	}
}

// By hand nothing needs to be said, and what is said is a branch.
func TestADeploymentByHand(t *testing.T) {
	r := newDeployRig(t, pipelines.Deploy, "")
	hotfix := r.repos["api_v1"].Commit("hotfix/now", "now", map[string]string{"buildspec.yml": goesOut, "release": "now"})
	for i, input := range []string{`{}`, `{"environment": "staging", "override_branches": {"api_v1": "hotfix/now"}}`} {
		x := r.byHand(t, i+1, input)
		environment := cmp.Or(x.Environment, "acceptance")
		want := map[string]string{}
		for _, c := range pipelines.DefaultComponents {
			want[c.Name] = fmt.Sprintf("%s %s main of %s to %s", r.heads[c.Name], c.Name, c.Name, environment)
		}
		if i == 1 {
			want["api_v1"] = hotfix + " api_v1 now to staging"
		}
		if d := gocmp.Diff(want, wentOut(t, x)); d != "" {
			t.Errorf("%s (-want +got):\n%s", input, d)
		}
	}
}

// Services are those that the input lists, or a file in an S3 that we did not write.
func TestListedServicesAreDeployed(t *testing.T) {
	awstest.Isolate(t)
	url := awstest.Moto(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	bucket := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &url, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
	if _, err := bucket.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("artifacts")}); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("artifacts"), Key: aws.String("changed.json"), Body: strings.NewReader(`{"services": ["api_v1", "console_v2"]}`)}); err != nil {
		t.Fatal(err)
	}
	r := newDeployRig(t, pipelines.Services, fmt.Sprintf("\n    aws: {region: us-east-1, endpoint: %q}", url))
	patch := r.repos["api_v1"].Commit("hotfix/now", "now", map[string]string{"buildspec.yml": goesOut, "release": "now"})
	r.repos["api_v1"].Commit("hotfix/now", "later", map[string]string{"buildspec.yml": goesOut, "release": "later"})
	x := r.byHand(t, 1, fmt.Sprintf(`{"services_from": {"bucket": "artifacts", "key": "changed.json"}, "override_branches": [{"project": "project-api-v1", "branch": "hotfix/now", "commit": %q}]}`, patch))
	want := map[string]string{"api_v1": patch + " api_v1 now to acceptance", "console_v2": r.heads["console_v2"] + " console_v2 main of console_v2 to acceptance"}
	if d := gocmp.Diff(want, wentOut(t, x)); d != "" {
		t.Errorf("from S3 (-want +got):\n%s", d)
	}
	x = r.byHand(t, 2, `{"services": ["api_v2", "nobodys"], "unknown_services": "pass"}`)
	want = map[string]string{"api_v2": r.heads["api_v2"] + " api_v2 main of api_v2 to acceptance", "nobodys": "unknown"}
	if d := gocmp.Diff(want, wentOut(t, x)); d != "" {
		t.Errorf("from the input (-want +got):\n%s", d)
	}
	x = r.byHand(t, 3, `{"services_from": {"bucket": "artifacts", "key": "none.json"}}`)
	if x.Error != "Switchyard.InvalidInput" || !strings.Contains(x.Cause, "s3://artifacts/none.json cannot be read: S3.NoSuchKeyException") {
		t.Errorf("%s %s: %s", x.State, x.Error, x.Cause)
	}
}
