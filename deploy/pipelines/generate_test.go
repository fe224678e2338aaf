package pipelines_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/asltest"
	"switchyard/deploy/pipelines"
)

var update = flag.Bool("update", false, "write the generated files of the pipelines")

// golden compares a file with what it is generated as.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is not as generated; run go test ./deploy/pipelines -update (-want +got):\n%s", path, d)
	}
}

// What is shipped is what the generator writes for the default components.
func TestWhatIsShippedIsGenerated(t *testing.T) {
	for _, pipeline := range pipelines.Generated {
		files, err := pipelines.Generate(pipeline, pipelines.DefaultComponents)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			golden(t, filepath.Join(pipeline, name), text)
		}
	}
}

// The tests that are generated take every way through what is generated, also
// where a repository has several components, or there is only one.
func TestGeneratedTestsPass(t *testing.T) {
	for _, pipeline := range pipelines.Generated {
		for _, list := range []string{"web", "shop-api=shop,shop_web=shop,billing"} {
			components, err := pipelines.ParseComponents(list)
			if err != nil {
				t.Fatal(err)
			}
			files, err := pipelines.Generate(pipeline, components)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			testsPass(t, filepath.Join(dir, pipeline+".test.yaml"))
		}
	}
}

// testsPass runs the tests in a file, which must cover all of their definition.
func testsPass(t *testing.T, path string) {
	t.Helper()
	f, err := asltest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	covered := f.NewCoverage()
	for i := range f.Tests {
		result, err := f.Run(t.Context(), &f.Tests[i], covered)
		if err != nil {
			t.Fatal(err)
		}
		if !result.Passed() {
			t.Errorf("%s: %s: %v", path, f.Tests[i].Name, result.Differences)
		}
	}
	for _, p := range covered.Missing() {
		t.Errorf("%s: no test covers %s of %s", path, p.Text, p.State)
	}
}

func TestComponentsThatCannotBe(t *testing.T) {
	for list, want := range map[string]string{
		"":                               `"" cannot be a component's name`,
		"a'b=web":                        `"a'b" cannot be a component's name`,
		"1st=web":                        `"1st" cannot be a component's name`,
		"web,web":                        "component web is there twice",
		"web-ui,web_ui":                  "components web-ui and web_ui would both be skipped by skip_web_ui",
		"Web,web":                        "components Web and web would both be skipped by skip_web",
		"web=x y":                        `"x y" cannot be a project's name`,
		"web":                            "",
		"shop,admin=shop":                "the project of component admin has the name of another component, shop",
		"web,api = project-a":            `"api " cannot be a component's name`,
		strings.Repeat("x", 61) + "=web": "cannot be a component's name",
	} {
		_, err := pipelines.ParseComponents(list)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", list, err, want)
		}
	}
	if _, err := pipelines.Generate("deploy", nil); err == nil {
		t.Error("a pipeline without components was generated")
	}
}
