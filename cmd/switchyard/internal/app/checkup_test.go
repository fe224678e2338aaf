package app_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
)

// Who has the data folder can tell that it is the service of that folder which
// answers; nobody else learns anything.
func TestHealthzProvesWhoseItIs(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	cfg, err := config.Load(filepath.Join(dir, "switchyard.yaml"), config.Offline())
	if err != nil {
		t.Fatal(err)
	}
	asked := func(query string) string {
		resp, err := http.Get("http://" + s.Addr().String() + "/healthz?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	query, want, err := app.Challenge(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := asked(query); got != "ok\n"+want+"\n" {
		t.Errorf("%s is answered %q, want ok and %s", query, got, want)
	}
	other, _, err := app.Challenge(cfg)
	if err != nil || other == query || strings.Contains(asked(other), want) {
		t.Errorf("a second challenge %s (%v) is answered as the first", other, err)
	}
	for _, odd := range []string{"", "challenge=", "challenge=xyz", query + "00", "challenge=" + strings.Repeat("a", 4096)} {
		if got := asked(odd); got != "ok\n" {
			t.Errorf("%.40s is answered %q", odd, got)
		}
	}
	if err := os.Remove(filepath.Join(cfg.Resolve(cfg.DataDir), "pages.key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.Challenge(cfg); err == nil {
		t.Error("without the key nothing is proved")
	}
}
