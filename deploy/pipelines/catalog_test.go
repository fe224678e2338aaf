package pipelines_test

import (
	"slices"
	"strings"
	"testing"

	"switchyard/deploy/pipelines"
)

// Whoever copies a pipeline gets all that it takes to use it.
func TestEveryPipelineIsWhole(t *testing.T) {
	all, err := pipelines.All()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, p := range all {
		definitions := 0
		for _, file := range p.Files {
			if stem, ok := strings.CutSuffix(file, ".asl.json"); ok {
				definitions++
				if !slices.Contains(p.Files, stem+".test.yaml") {
					t.Errorf("%s has no %s.test.yaml", p.Name, stem)
				}
			}
		}
		if definitions == 0 {
			t.Errorf("%s has no definition", p.Name)
		}
		for _, file := range []string{"README.md", "policy.json", pipelines.Route} {
			if !slices.Contains(p.Files, file) {
				t.Errorf("%s has no %s", p.Name, file)
			}
		}
		if p.Summary == "" {
			t.Errorf("the README of %s does not begin with what it does", p.Name)
		}
		route, err := p.File(pipelines.Route)
		home := "deploy/pipelines/" + p.Name + "/"
		leads := slices.ContainsFunc(p.Files, func(f string) bool {
			return strings.HasSuffix(f, ".asl.json") && strings.Contains(string(route), home+f)
		})
		if err != nil || !leads {
			t.Errorf("%s of %s names no definition in %s, so that a copy's route would not lead to it: %v", pipelines.Route, p.Name, home, err)
		}
	}
}
