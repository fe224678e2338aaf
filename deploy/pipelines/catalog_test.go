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
		if home := "deploy/pipelines/" + p.Name + "/" + p.Name + ".asl.json"; err == nil && !strings.Contains(string(route), home) {
			t.Errorf("%s of %s does not name %s, so that a copy's route would not lead to it", pipelines.Route, p.Name, home)
		}
	}
}
