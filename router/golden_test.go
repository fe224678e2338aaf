package router

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

var update = flag.Bool("update", false, "write the golden files")

// golden is a plan as the golden files hold it: with the input, and the name
// of what is in it only where it adds something.
type golden struct {
	Requests []goldenRequest `json:"requests"`
	Ignored  []event.Ignored `json:"ignored"`
	Lacks    []event.Lack    `json:"lacks,omitempty"`
	Unlisted bool            `json:"unlisted,omitempty"`
	Unmerged bool            `json:"unmerged,omitempty"`
	Outdated []string        `json:"outdated,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
}

type goldenRequest struct {
	event.Request
	Former *event.FormerIdentity `json:"former"`
	Input  json.RawMessage       `json:"input"`
}

// TestPlanGolden holds plans against testdata/plan/*.want.json. Each case has
// the config and the event that make it.
func TestPlanGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.json")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want.json") {
			continue
		}
		cases++
		name := strings.TrimSuffix(file, ".json")
		t.Run(filepath.Base(name), func(t *testing.T) {
			cfg, ev := readCase(t, file)
			if filepath.Base(name) == "too_large" {
				ev.Commits[1].Author = strings.Repeat("x", event.MaxInput)
			}
			r := mustNew(t, cfg)
			plan := r.Plan(ev)
			checkPlan(t, &ev, plan)

			got := golden{Requests: []goldenRequest{}, Ignored: plan.Ignored, Lacks: plan.Lacks, Unlisted: plan.Unlisted, Unmerged: plan.Unmerged, Outdated: plan.Outdated, Warnings: r.Warnings()}
			for _, q := range plan.Requests {
				got.Requests = append(got.Requests, goldenRequest{q, q.Former, q.Input})
			}
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			if err := enc.Encode(got); err != nil {
				t.Fatal(err)
			}
			text := visible(b.String())
			if *update {
				if err := os.WriteFile(name+".want.json", []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name + ".want.json")
			if err != nil {
				t.Fatalf("%v; -update writes it", err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
	if cases < 40 {
		t.Errorf("only %d cases found", cases)
	}
}

// visible escapes what could not be seen in a golden file.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == 0x7f || r > 0x7f && unseen(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func readCase(t *testing.T, file string) (Config, event.Event) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		About  string      `json:"about"`
		Config Config      `json:"config"`
		Event  event.Event `json:"event"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c.Config, c.Event
}
