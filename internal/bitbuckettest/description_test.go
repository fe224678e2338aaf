package bitbuckettest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// descriptionEnv names the folder dist of the npm package @coderabbitai/bitbucket
// (Apache-2.0), which carries the OpenAPI descriptions that Atlassian publishes of
// both products, as types.
const descriptionEnv = "SWITCHYARD_BITBUCKET_TYPES"

// TestOperationsArePublished holds each call that the stand-ins serve against what
// Atlassian publishes, and so each call that is made in tests.
func TestOperationsArePublished(t *testing.T) {
	dist := os.Getenv(descriptionEnv)
	if dist == "" {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatalf("%s is not set", descriptionEnv)
		}
		t.Skipf("%s is not set", descriptionEnv)
	}
	for product, operations := range map[string]map[string]operation{"cloud": cloudOperations, "server": dataCenterOperations} {
		text, err := os.ReadFile(filepath.Join(dist, product, "openapi", "openapi-typescript.d.ts"))
		if err != nil {
			t.Fatal(err)
		}
		for name := range operations {
			method, path, _ := strings.Cut(strings.Replace(name, "...}", "}", 1), " ")
			_, at, found := strings.Cut(string(text), `    readonly "`+path+`": {`)
			if !found {
				t.Errorf("%s has no %s", product, path)
				continue
			}
			at, _, _ = strings.Cut(at, "\n    };") // the path's end
			if !regexp.MustCompile(`(?m)^        readonly ` + strings.ToLower(method) + `: `).MatchString(at) {
				t.Errorf("%s has no %s of %s", product, method, path)
			}
		}
	}
}

// What the types say of a member's name holds for what is sent, too.
func TestBodiesArePublished(t *testing.T) {
	dist := os.Getenv(descriptionEnv)
	if dist == "" {
		t.Skipf("%s is not set", descriptionEnv)
	}
	for product, schemas := range map[string]map[string][]string{
		"cloud":  {"commitstatus": {"key", "name", "description", "state", "url", "refname"}, "webhook_subscription": {"description", "url", "active", "events", "secret", "uuid"}, "pullrequest": {"id", "title", "draft", "state", "source", "destination", "author"}, "base_commit": {"hash", "date", "message", "parents", "author"}},
		"server": {"RestBuildStatusSetRequest": {"key", "parent", "name", "description", "state", "url", "ref"}, "RestWebhook": {"name", "url", "active", "events", "configuration"}, "RestRequiredBuildConditionSetRequest": {"buildParentKeys", "refMatcher"}, "RestPullRequest": {"id", "title", "fromRef", "toRef", "draft"}, "RestCommit": {"id", "message", "parents", "author", "committerTimestamp"}, "RestTag": {"hash", "latestCommit"}},
	} {
		text, err := os.ReadFile(filepath.Join(dist, product, "openapi", "openapi-typescript.d.ts"))
		if err != nil {
			t.Fatal(err)
		}
		for schema, members := range schemas {
			_, at, found := strings.Cut(string(text), "\n        readonly "+schema+": {")
			if !found {
				t.Errorf("%s has no schema %s", product, schema)
				continue
			}
			// It ends by a brace that does not lead on to what it is joined with.
			at = at[:regexp.MustCompile(`(?m)^        \}(?:\)*;)`).FindStringIndex(at)[0]]
			for _, m := range members {
				if !regexp.MustCompile(`readonly ` + m + `\??: `).MatchString(at) {
					t.Errorf("%s of %s has no %s", schema, product, m)
				}
			}
		}
	}
}
