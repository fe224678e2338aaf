package config

import (
	"strings"
	"testing"
	"time"
)

// What strangers write runs in isolation or not at all.
func TestForksNeedIsolation(t *testing.T) {
	text := func(isolation, forks string) string {
		return strings.Replace(minimal, "name: all", "name: all, on: pull_request, forks: "+forks, 1) +
			"\nengine: {embedded: {builds: {isolation: " + isolation + "}}}\n"
	}
	for _, forks := range []string{"labeled", "allow"} {
		_, err := Parse("switchyard.yaml", []byte(text("none", forks)), env())
		if err == nil || !strings.Contains(err.Error(), "routes[0].forks") || !strings.Contains(err.Error(), "engine.embedded.builds.isolation") {
			t.Errorf("forks: %s without isolation: %v", forks, err)
		}
		for _, isolation := range []string{"auto", "bubblewrap"} {
			parseText(t, text(isolation, forks))
		}
	}
	parseText(t, text("none", "never"))
}

func TestBuildsAreChecked(t *testing.T) {
	for more, want := range map[string]string{
		"builds: {isolation: docker}":                               "auto, bubblewrap",
		"builds: {visible: [tools]}":                                `"tools" is not an absolute path`,
		"builds: {writable: cache}":                                 `"cache" is not an absolute path`,
		"builds: {processes: 0}":                                    "builds.processes",
		"projects: {p: {fork_network: bridge}}":                     "host",
		"projects: {p: {network: bridge}}":                          "host",
		"builds: {isolation: none}, projects: {p: {network: none}}": "projects.p.network",
		"builds: {cache: much}":                                     "builds.cache",
		"builds: {memory: 8MB}":                                     "builds.memory: 8MB is not enough",
		"builds: {memory: lots}":                                    "builds.memory",
		"projects: {p: {repository: ../api.git}}":                   "projects.p.repository",
		"projects: {p: {repository: \"ext::sh -c id\"}}":            "projects.p.repository",
		"projects: {p: {submodules: [lib]}}":                        "projects.p.submodules",
		"projects: {p: {submodules: [\"https://*/lib\"]}}":          "the name of the host",
		"builds: {artifacts: -1GB}":                                 "builds.artifacts",
		"builds: {artifact_files: 0}":                               "builds.artifact_files",
		"builds: {log: 1}, projects: {p: {timeout: never}}":         "projects.p.timeout",
		"builds: {region: Ireland}":                                 "eu-west-1",
		"builds: {check_mirrors: 1s}":                               "at least 1m, or 0",
		"builds: {keep_mirrors: 30s}":                               "at least 1m, or 0",
		"builds: {disk: much}":                                      "builds.disk",
		"builds: {disk: 0}":                                         "builds.disk: 0 leaves builds nothing",
		"builds: {memory: 0MB}":                                     "builds.memory: 0 leaves builds nothing",
		"builds: {artifacts: 0}":                                    "builds.artifacts: 0 leaves builds nothing",
		"builds: {log: 0}":                                          "builds.log: 0 leaves builds nothing",

		"builds: {container: {runtime: podman}}":                       "builds.container: image is missing",
		"builds: {container: {runtime: lxc, image: a}}":                "podman, docker",
		`builds: {container: {image: ""}}`:                             `"" is not the name of an image`,
		"builds: {container: {image: --privileged}}":                   `"--privileged" is not the name of an image`,
		"builds: {container: {image: a}, isolation: bubblewrap}":       "builds.isolation: bubblewrap is not for builds in containers",
		"builds: {container: {image: a}, isolation: none}":             "builds.isolation: none is not for builds in containers",
		"projects: {p: {image: a}}":                                    "projects.p.image: an image needs containers; set engine.embedded.builds.container",
		"builds: {container: {image: a}}, projects: {p: {image: a b}}": `projects.p.image: "a b" is not the name of an image`,
	} {
		if _, err := Parse("switchyard.yaml", []byte(minimal+"\nengine: {embedded: {"+more+"}}\n"), env()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// What a fork's builds go without is said wherever a request is explained.
func TestForkBuilds(t *testing.T) {
	for engine, want := range map[string]string{
		"embedded": "without secrets, without network",
		"{embedded: {projects: {a: {network: host}, b: {fork_network: none}}}}":             "without secrets, without network",
		"{embedded: {projects: {c: {fork_network: host}, a: {fork_network: host}, b: {}}}}": "without secrets, without network but for a, c",
		"{aws: {region: eu-west-1}}": "",
	} {
		c := parseText(t, minimal+"\nengine: "+engine+"\n")
		if got := c.RouterConfig().ForkBuilds; got != want || c.ForkBuilds() != want {
			t.Errorf("%s: %q, want %q", engine, got, want)
		}
	}
}

// 0 turns off what is on without a word.
func TestCacheAndReserveMayBeTurnedOff(t *testing.T) {
	for more, want := range map[string]Builds{
		"":                        {},
		"cache: 0, reserve: 0":    {Cache: -1, Reserve: -1},
		"cache: 1GB, reserve: 0B": {Cache: 1 << 30, Reserve: -1},
	} {
		b := parseText(t, minimal+"\nengine: {embedded: {builds: {"+more+"}}}\n").Engine.Embedded.Builds
		if b.Cache != want.Cache || b.Reserve != want.Reserve {
			t.Errorf("%s: %v and %v", more, b.Cache, b.Reserve)
		}
	}
}

// So it does with what is done to mirrors.
func TestMirrorsMayBeLeftAlone(t *testing.T) {
	for more, want := range map[string]Builds{
		"":                                     {},
		"check_mirrors: 0, keep_mirrors: 0":    {CheckMirrors: -1, KeepMirrors: -1},
		"check_mirrors: 12h, keep_mirrors: 7d": {CheckMirrors: Duration(12 * time.Hour), KeepMirrors: Duration(7 * day)},
	} {
		b := parseText(t, minimal+"\nengine: {embedded: {builds: {"+more+"}}}\n").Engine.Embedded.Builds
		if b.CheckMirrors != want.CheckMirrors || b.KeepMirrors != want.KeepMirrors {
			t.Errorf("%s: %v and %v", more, b.CheckMirrors, b.KeepMirrors)
		}
	}
}
