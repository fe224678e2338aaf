package app

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"switchyard/config"
)

// The files of builds' secrets are hidden from builds as those of the config
// are.
func TestSecretFilesAreHiddenFromBuilds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"own", "shared"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a-secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "sources: {github: {secrets: [x]}}\nengine: {embedded: {secrets: {s: {file: shared}}, projects: {p: {secrets: {o: \"file:own\"}}}}}\n"
	cfg, err := config.Parse(filepath.Join(dir, "switchyard.yaml"), []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	hidden := buildConfig(cfg, t.TempDir()).Hidden
	for _, name := range []string{"own", "shared"} {
		if path := filepath.Join(dir, name); !slices.Contains(hidden, path) {
			t.Errorf("%s is not hidden: %v", path, hidden)
		}
	}
}
