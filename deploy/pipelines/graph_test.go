package pipelines_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"switchyard/asl"
	draw "switchyard/asl/graph"
)

// drawn finds a graph in a README that says what drew it.
var drawn = regexp.MustCompile("(?s)<!-- switchyard asl graph (\\S+) --format mermaid -->\n```mermaid\n(.*?)```")

// A graph in a README is the one of the definition beside it.
func TestGraphsAreDrawnFromTheDefinitions(t *testing.T) {
	readmes, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range readmes {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := drawn.ReplaceAllFunc(text, func(block []byte) []byte {
			found++
			parts := drawn.FindSubmatch(block)
			definition, err := os.ReadFile(filepath.Join(filepath.Dir(path), string(parts[1])))
			if err != nil {
				t.Fatal(err)
			}
			m, err := asl.Parse(definition)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Replace(block, append([]byte("```mermaid\n"), parts[2]...), []byte("```mermaid\n"+draw.Mermaid(m)), 1)
		})
		golden(t, path, want)
	}
	if found == 0 {
		t.Error("no README has a graph that was drawn")
	}
}
