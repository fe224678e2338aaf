package config

import (
	"path/filepath"
	"testing"
)

func TestCloneURLsComeFromTheHostOfTheAPI(t *testing.T) {
	for settings, want := range map[string]string{
		"provider: github": "https://github.com",
		"provider: github, base_url: \"https://api.github.com/\"":                                   "https://github.com",
		"provider: github, base_url: \"https://api.acme.ghe.com\"":                                  "https://acme.ghe.com",
		"provider: github, base_url: \"https://github.example.com/api/v3/\"":                        "https://github.example.com",
		"provider: github, base_url: \"https://api.example.com:8443/api/v3\"":                       "https://api.example.com:8443",
		"provider: github, base_url: \"http://example.com/git/api/v1\"":                             "http://example.com/git",
		"provider: github, clone_base: \"https://git.example.com\"":                                 "https://git.example.com",
		"provider: github, base_url: \"https://h/api/v3\", clone_base: \"https://git.example.com\"": "https://git.example.com",
		"provider: gitlab":    "https://gitlab.com",
		"provider: bitbucket": "https://bitbucket.org",
		"provider: bitbucket-server, base_url: \"https://bitbucket.example.com/\"":                            "https://bitbucket.example.com/scm",
		"provider: bitbucket-server, base_url: \"https://example.com/bitbucket/rest/api/1.0\"":                "https://example.com/bitbucket/scm",
		"provider: bitbucket-server, base_url: \"https://h\", clone_base: \"https://mirror.example.com/scm\"": "https://mirror.example.com/scm",
		"provider: gitlab, base_url: \"https://git.example.com/lab/\"":                                        "https://git.example.com/lab",
		"provider: gitlab, base_url: \"https://gitlab.example.com/api/v4/\"":                                  "https://gitlab.example.com",
		"provider: gitea, base_url: \"https://git.example.com/\"":                                             "https://git.example.com",
		"provider: gitea, base_url: \"https://example.com/git/api/v1/\"":                                      "https://example.com/git",
		"provider: gitea, base_url: \"https://git.example.com\", clone_base: \"https://mirror.example.com\"":  "https://mirror.example.com",
		"provider: git": "",
		"provider: git, clone_base: \"https://git.example.com\"": "https://git.example.com",
	} {
		c := parseText(t, "sources: {s: {secrets: x, "+settings+"}}\n")
		if o := c.Origin("s"); o.Base != want || o.Key != "sources.s" {
			t.Errorf("%s: %+v, want %s", settings, o, want)
		}
	}
	here, err := filepath.Abs("git/api.git")
	if err != nil {
		t.Fatal(err)
	}
	c := parseText(t, "sources: {git: {secrets: x, repositories: {acme/api: git/api.git, acme/b: /srv/b}}}\n")
	if paths := c.Origin("git").Paths; paths["acme/api"] != here || paths["acme/b"] != "/srv/b" {
		t.Errorf("%v", paths)
	}
	for _, wrong := range []string{"file:///srv", "ssh://git@h", "https://u:p@h", "https://h?x", "/srv"} {
		if _, err := Parse("switchyard.yaml", []byte("sources: {github: {secrets: x, clone_base: \""+wrong+"\"}}\n"), env()); err == nil {
			t.Errorf("clone_base %s is taken", wrong)
		}
	}
}

func TestRepositoriesAreAPathOrSettings(t *testing.T) {
	c := parseText(t, `
sources:
  git:
    secrets: [shared]
    repositories: {a/path: /srv/a, a/both: {path: b, secrets: [one, two]}, a/secret: {secrets: "${S}"}}
  github:
    repositories: {acme/api: {secrets: x}}
`, "S=three")
	git, github := c.Sources["git"], c.Sources["github"]
	if own := git.RepositorySecrets(); len(own) != 2 || len(own["a/both"]) != 2 || own["a/secret"][0] != "three" {
		t.Errorf("%v", own)
	}
	if notes, ok := c.GitNotes("git"); !ok || len(notes.Repositories) != 2 || notes.Repositories["a/path"] != "/srv/a" {
		t.Errorf("%v", notes)
	}
	if own := github.RepositorySecrets(); len(own) != 1 || own["acme/api"][0] != "x" {
		t.Errorf("%v", own)
	}
}
