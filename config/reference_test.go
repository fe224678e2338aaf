package config

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariablesSayWhichAreSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hook"), "secret")
	c := parseText(t, `
data_dir: ${HOME}/${UNSET:-data}
sources:
  github: {secrets: ["${HOOK}", "x${PART}y", "file:${DIR}/hook"], token: "${BOTH}"}
engine: {embedded: {functions: {f: {exec: run, environment: {X: "${BOTH}", Y: "${PLAIN}"}}}}}
`, "HOME=/h", "HOOK=a", "PART=b", "DIR="+dir, "BOTH=c", "PLAIN=d")
	want := map[string]bool{"HOME": false, "UNSET": false, "HOOK": true, "PART": true, "DIR": false, "BOTH": true, "PLAIN": false}
	if diff := cmp.Diff(want, c.Variables()); diff != "" {
		t.Error(diff)
	}
}
