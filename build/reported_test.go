//go:build unix

package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Buildspecs of the shapes that people report about, with what CodeBuild makes
// of them.
func TestReportedBuildspecs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, spec, status string
		exported           []nameValue
	}{
		{"failure, finally and what a later phase knows of it", `version: 0.2
env:
  exported-variables: [S, F, P]
phases:
  build:
    on-failure: CONTINUE
    commands:
      - "false"
      - P=never
    finally:
      - F=ran
  post_build:
    commands:
      - S=$CODEBUILD_BUILD_SUCCEEDING
`, statusFailed, []nameValue{{"S", "0"}, {"F", "ran"}}},
		{"what lasts from command to command", `version: 0.2
env:
  shell: bash
  variables:
    N: 007
    V: 1.10
    EMPTY: ""
  exported-variables: [Q1, Q2, Q3, Q4, D]
phases:
  install:
    runtime-versions: {python: 3.x}
    commands:
      - greet() { echo "hi $1"; }
      - mkdir -p sub && cd sub
  pre_build:
    commands:
      - Q1=$(greet bob)
      - D=$(basename "$PWD")
      - exit 0
      - cd "$CODEBUILD_SRC_DIR"
  build:
    commands:
      - |
        cat <<EOF > o.txt
        $N
          $V
        EOF
      - Q2=$(cat o.txt)
      - >-
        Q3="folded
        text"
      - "Q4='a: \"b\" # c'"
`, statusSucceeded, []nameValue{{"Q1", "hi bob"}, {"Q2", "007\n  1.10"}, {"Q3", "folded text"}, {"Q4", `a: "b" # c`}, {"D", "sub"}}},
		{"shapes of artifacts", `version: 0.2
env:
  variables: {APP: shop}
phases:
  build:
    commands:
      - mkdir -p dist-a/css dist-b out/deep
      - touch dist-a/i.html dist-a/css/m.css dist-b/b.txt out/deep/x.jar "$APP.zip"
reports:
  unit:
    files: "**/*.xml"
artifacts:
  name: $APP-$(date +%Y)
  base-directory: "dist*"
  files:
    - "**/*"
  secondary-artifacts:
    one:
      files: ["$APP.zip"]
      discard-paths: yes
    three:
      base-directory: $CODEBUILD_SRC_DIR/dist-a
      files: ["**/*"]
      exclude-paths: ["css/**/*"]
`, statusSucceeded, []nameValue{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepo(t)
			h := newHandler(t, Config{})
			b := run(t, h, newTask(t, "t", input{"SourceVersion": r.spec(tc.spec), "SourceLocationOverride": r.bare}))
			if b.result.BuildStatus != tc.status {
				t.Errorf("status %s\n%s", b.result.BuildStatus, b.log)
			}
			if diff := cmp.Diff(tc.exported, b.result.ExportedEnvironmentVariables); diff != "" {
				t.Error(diff)
			}
			if len(b.result.SecondaryArtifacts) == 0 {
				return
			}
			for i, want := range []string{"shop.zip", "i.html"} {
				if _, err := os.Stat(filepath.Join(b.result.SecondaryArtifacts[i].Location, want)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
