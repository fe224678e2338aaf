package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHookOfARepository(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"own", "build"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("from-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(filepath.Join(dir, "switchyard.yaml"), []byte(`
server: {public_url: "https://ci.example.com/base/"}
sources:
  github: {secrets: [newest, old], repositories: {acme/Own: {secrets: ["file:own"]}}}
  single: {provider: github, repositories: {acme/own: {secrets: [s]}}}
engine: {embedded: {secrets: {npm: {file: build}}}}
`), env())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.HookURL("github"), "https://ci.example.com/base/webhooks/github"; got != want {
		t.Errorf("webhooks lead to %s, want %s", got, want)
	}
	for repository, want := range map[string]string{"acme/api": "newest", "acme/own": "from-own"} {
		if got, ok := c.HookSecret("github", repository); !ok || got.Reveal() != want {
			t.Errorf("%s has the secret %q, want %q", repository, got.Reveal(), want)
		}
	}
	if _, ok := c.HookSecret("single", "acme/api"); ok {
		t.Error("acme/api of single has no secret")
	}
	if got, want := c.SecretFiles(), []string{filepath.Join(dir, "own"), filepath.Join(dir, "build")}; !slices.Equal(got, want) {
		t.Errorf("secrets are in %q, want %q", got, want)
	}
	if bare, err := Parse("switchyard.yaml", []byte("sources: {github: {secrets: [s]}}"), env()); err != nil || bare.HookURL("github") != "" {
		t.Errorf("without public_url webhooks lead nowhere: %v", err)
	}
}
