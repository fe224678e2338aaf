package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"switchyard/asl/value"
	"switchyard/internal/safetext"
)

// maxShown is how much of a value is shown to people, in characters.
const maxShown = 80

// WriteText tells the difference to people: + is new, - is gone, ~ is changed, >
// is renamed, and ! says where executions could not go on.
func (d *Diff) WriteText(w io.Writer) error {
	var out strings.Builder
	if d.Same() {
		out.WriteString("no difference\n")
	}
	if len(d.Machine) > 0 {
		out.WriteString("~ state machine\n")
		writeParts(&out, d.Machine)
	}
	for _, s := range d.States {
		name := strconv.Quote(s.Name)
		switch s.Change {
		case Added:
			fmt.Fprintf(&out, "+ %s (%s)\n", name, s.Type)
		case Removed:
			fmt.Fprintf(&out, "- %s (%s)\n", name, s.Type)
		case Renamed:
			fmt.Fprintf(&out, "> %s is now %q (%s)\n", name, s.NewName, s.Type)
		case Changed:
			fmt.Fprintf(&out, "~ %s (%s)\n", name, s.Type)
		}
		if s.Stranded != "" {
			fmt.Fprintf(&out, "    ! executions in it could not go on: %s\n", s.Stranded)
		}
		writeParts(&out, s.Parts)
	}
	if len(d.States) > 0 {
		goOn := "executions could go on in each"
		if n := d.Stranded(); n > 0 {
			goOn = fmt.Sprintf("executions could not go on in %d", n)
		}
		fmt.Fprintf(&out, "\nstates: %d changed, %d renamed, %d removed, %d added; %s\n",
			d.Count(Changed), d.Count(Renamed), d.Count(Removed), d.Count(Added), goOn)
	}
	_, err := io.WriteString(w, safetext.Block(out.String()))
	return err
}

func writeParts(out *strings.Builder, parts []Part) {
	for _, p := range parts {
		switch {
		case p.Kind == Order:
			fmt.Fprintf(out, "    ~ %s: tried in another order\n", p.Path)
		case !p.Had:
			fmt.Fprintf(out, "    + %s: %s\n", p.Path, brief(p.New))
		case !p.Has:
			fmt.Fprintf(out, "    - %s: %s\n", p.Path, brief(p.Old))
		default:
			fmt.Fprintf(out, "    ~ %s: %s → %s\n", p.Path, brief(p.Old), brief(p.New))
		}
	}
}

func brief(v value.Value) string { return safetext.Cut(v.JSON(), maxShown) }

// MarshalJSON gives old and new as JSON, each only where it is there.
func (p Part) MarshalJSON() ([]byte, error) {
	out := struct {
		Kind Kind            `json:"kind"`
		Path string          `json:"path"`
		Old  json.RawMessage `json:"old,omitempty"`
		New  json.RawMessage `json:"new,omitempty"`
	}{Kind: p.Kind, Path: p.Path}
	if p.Had {
		out.Old = json.RawMessage(p.Old.JSON())
	}
	if p.Has {
		out.New = json.RawMessage(p.New.JSON())
	}
	return json.Marshal(out)
}

// MarshalJSON is the form of --json.
func (s State) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name     string `json:"name"`
		NewName  string `json:"newName,omitempty"`
		Type     string `json:"type"`
		Change   Change `json:"change"`
		Stranded string `json:"stranded,omitempty"`
		Parts    []Part `json:"parts,omitempty"`
	}{s.Name, s.NewName, s.Type, s.Change, s.Stranded, s.Parts})
}

// MarshalJSON is the form of --json.
func (d *Diff) MarshalJSON() ([]byte, error) {
	out := struct {
		Same     bool    `json:"same"`
		Stranded int     `json:"stranded"`
		Machine  []Part  `json:"machine"`
		States   []State `json:"states"`
	}{d.Same(), d.Stranded(), d.Machine, d.States}
	if out.Machine == nil {
		out.Machine = []Part{}
	}
	if out.States == nil {
		out.States = []State{}
	}
	return json.Marshal(out)
}
