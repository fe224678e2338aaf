package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"switchyard/asl/graph"
	"switchyard/internal/safetext"
)

//go:embed pages
var pagesFS embed.FS

//go:embed assets
var assetsFS embed.FS

// assets are the files that pages load, by name, with the address that changes with
// what is in them.
var assets = readAssets()

type asset struct {
	text    []byte
	kind    string
	address string
}

func readAssets() map[string]asset {
	all := map[string]asset{}
	files, err := fs.Glob(assetsFS, "assets/*")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		text, err := assetsFS.ReadFile(file)
		if err != nil {
			panic(err)
		}
		name := path.Base(file)
		all[name] = newAsset(name, text)
	}
	all["graph.css"] = newAsset("graph.css", []byte(graph.Style))
	return all
}

func newAsset(name string, text []byte) asset {
	sum := sha256.Sum256(text)
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	return asset{text, kinds[path.Ext(name)], "/assets/" + name + "?v=" + hex.EncodeToString(sum[:6])}
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.text) // the reader has gone; there is nobody to tell
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"safe":   safetext.Line,
	"asset":  func(name string) string { return assets[name].address },
	"short":  shortSHA,
	"signal": signalOf,
	"words":  func(state any) string { return strings.ReplaceAll(fmt.Sprint(state), "_", " ") },
	"cut":    func(n int, s string) string { return safetext.Cut(safetext.Line(s), n) },
	"took":   tookOf,
	"json":   func(text json.RawMessage) string { return pretty(text) },
}).ParseFS(pagesFS, "pages/*.html"))

// shortSHA is how people name a commit.
func shortSHA(sha string) string {
	if len(sha) > 8 {
		sha = sha[:8]
	}
	return safetext.Line(sha)
}

// stamp is a time as pages show it.
type stamp time.Time

// Exact is for machines, and for those who point at it.
func (s stamp) Exact() string { return time.Time(s).UTC().Format(time.RFC3339) }

// Zero reports whether there is no such time.
func (s stamp) Zero() bool { return time.Time(s).IsZero() }

// Ago is how long ago it was, in one unit.
func (s stamp) Ago() string { return ago(time.Since(time.Time(s))) }

func ago(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// tookOf is how long something took, "" where it has not begun or not ended.
func tookOf(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	d := to.Sub(from)
	switch {
	case d < 100*time.Millisecond:
		return "under 0.1s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
