package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"switchyard/deploy/pipelines"
)

// Each pipeline that ships can be copied: its tests pass in another folder, and its
// route is part of a config that holds.
func TestEveryPipelineCanBeCopied(t *testing.T) {
	all, err := pipelines.All()
	if err != nil || len(all) < 3 {
		t.Fatal(all, err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	switchyard := func(args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), args, nil, &out, &out, os.LookupEnv); code != exitDone {
			t.Errorf("switchyard %v exits with %d:\n%s", args, code, out.String())
		}
	}
	for _, p := range all {
		if p.Summary == "" {
			t.Errorf("the README of %s does not begin with what it does", p.Name)
		}
		switchyard("pipelines", "init", p.Name)
		folder := filepath.Join("deploy", "pipelines", p.Name)
		switchyard("asl", "test", folder, "--coverage-min", "100")
		route, err := os.ReadFile(filepath.Join(folder, pipelines.Route))
		if err != nil {
			t.Errorf("%s has no %s, which says what goes into the config: %v", p.Name, pipelines.Route, err)
			continue
		}
		config := "sources: {github: {secrets: [a secret of the test]}}\ndata_dir: data\n" + string(route)
		if err := os.WriteFile("switchyard.yaml", []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		switchyard("config", "validate")
	}
}
