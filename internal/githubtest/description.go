package githubtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"switchyard/internal/openapi"
)

// descriptionEnv names GitHub's OpenAPI description, api.github.com.json of the
// npm package @octokit/openapi. Without it a copy under bin/ of the repository is
// taken, where .ci/servers.sh puts one.
const descriptionEnv = "SWITCHYARD_GITHUB_OPENAPI"

var load = sync.OnceValues(func() (*openapi.Description, error) {
	path := os.Getenv(descriptionEnv)
	if path == "" {
		path = inRepository(filepath.Join("bin", "github-openapi", "api.github.com.json"))
	}
	return openapi.Load(path)
})

// inRepository is a path below the folder that has go.mod.
func inRepository(path string) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(dir, path)
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		break
	}
	return path
}

// description is nil, with which nothing is checked, where there is none; but the
// test fails where SWITCHYARD_REQUIRE_SERVERS=1 is set.
func description(t testing.TB) *openapi.Description {
	t.Helper()
	d, err := load()
	if err == nil {
		return d
	}
	if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
		t.Fatalf("%s: %v", descriptionEnv, err)
	}
	t.Logf("requests and answers are not checked against GitHub's description: %v", err)
	return nil
}
