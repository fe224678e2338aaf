package pipelines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where pipelines do the same they do it alike: builds are tried again by one
// policy, and why one failed is found out in one way.
func TestSharedPiecesAreAlike(t *testing.T) {
	for _, name := range []string{"deploy", "services", "suites"} {
		path := filepath.Join(name, name+".asl.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		definition := string(text)
		builds := strings.Count(definition, "codebuild:startBuild.sync")
		if n := strings.Count(definition, `"Retry": [`+buildRetry); builds == 0 || n < builds {
			t.Errorf("%s: %d of %d builds are tried again as shared.go says", path, n, builds)
		}
		if n := strings.Count(definition, quoted(whyFailed)); n != builds {
			t.Errorf("%s: of %d builds, why %d failed is found out as shared.go says", path, builds, n)
		}
	}
}
