package demo

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// screen shows the runs as they go on: on a terminal as a table that is redrawn
// in place, otherwise as a line for each change.
type screen struct {
	o     Options
	style *lipgloss.Renderer
	lines int // of the table on the screen
	said  map[string]dispatch.State
	push  int // pushes said so far
}

func newScreen(o Options) *screen {
	return &screen{o: o, style: lipgloss.NewRenderer(o.Out), said: map[string]dispatch.State{}}
}

func (s *screen) draw(pushes []Push, runs []Run, since time.Duration) {
	switch {
	case s.o.Quiet:
	case s.o.Live:
		s.redraw(runs)
	default:
		s.append(pushes, runs, since)
	}
}

func (s *screen) append(pushes []Push, runs []Run, since time.Duration) {
	for _, p := range pushes[s.push:] {
		fmt.Fprintf(s.o.Out, "%5.1fs  git push %s: %s\n", since.Seconds(), p.Branch, p.Says)
	}
	s.push = len(pushes)
	for _, r := range runs {
		if r.Execution == "" || s.said[r.Commit] == r.State {
			continue
		}
		s.said[r.Commit] = r.State
		fmt.Fprintf(s.o.Out, "%5.1fs  %.7s %-24s %-16s %-28s %s\n", since.Seconds(), r.Commit, safetext.Line(r.Title), r.Branch, r.Environment, r.State)
	}
}

// redraw goes back to the first line of the table and writes over it.
func (s *screen) redraw(runs []Run) {
	if len(runs) == 0 {
		return
	}
	text := s.table(runs)
	if s.lines > 0 {
		fmt.Fprintf(s.o.Out, "\x1b[%dA", s.lines)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(s.o.Out, "\x1b[2K%s", line)
	}
	s.lines = strings.Count(text, "\n")
}

func (s *screen) table(runs []Run) string {
	bold := s.style.NewStyle().Bold(true)
	t := table.New().Border(lipgloss.RoundedBorder()).BorderStyle(s.style.NewStyle().Faint(true)).
		StyleFunc(func(row, _ int) lipgloss.Style {
			if row == table.HeaderRow {
				return bold.Padding(0, 1)
			}
			return s.style.NewStyle().Padding(0, 1)
		}).
		Headers("commit", "title", "branch", "environment", "state", "waited", "ran")
	for _, r := range runs {
		ran := time.Duration(r.Ran)
		if r.State == dispatch.StateRunning {
			ran = time.Since(r.started)
		}
		t.Row(r.Commit[:7], safetext.Line(r.Title), r.Branch, r.Environment, s.state(r.State), tenths(time.Duration(r.Waited)), tenths(ran))
	}
	return t.Render() + "\n"
}

// state draws a state as a sign and a word, so that no meaning hangs on colour.
func (s *screen) state(state dispatch.State) string {
	sign, colour := "✘", lipgloss.Color("1")
	switch state {
	case dispatch.StateWaiting, dispatch.StateReady:
		sign, colour = "◌", lipgloss.Color("3")
	case dispatch.StateRunning:
		sign, colour = "▶", lipgloss.Color("4")
	case dispatch.StateSucceeded:
		sign, colour = "✔", lipgloss.Color("2")
	default:
	}
	return s.style.NewStyle().Foreground(colour).Render(sign + " " + string(state))
}

func tenths(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// summary proves the point, and says where to look.
func summary(o Options, r *Result) {
	failed := count(r.Executions, func(r Run) bool { return r.State == dispatch.StateFailed })
	fmt.Fprintf(o.Out, "\nPushed %d commits: %d executions, %d skipped. Up to %d ran at once; %d failed, the one broken on purpose.\n",
		r.Pushed, len(r.Executions)-r.Skipped, r.Skipped, r.MostAtOnce, failed)
	if r.Untold > 0 {
		fmt.Fprintf(o.Out, "%d commits have not been told how they fared: their notes are still to be written.\n", r.Untold)
	} else {
		fmt.Fprintf(o.Out, "Every commit was told how it fared, in a git note of its own.\n")
	}
	fmt.Fprintf(o.Out, "\nLook at\n  %s\n  %s   one log for each commit's build\n  git -C %s log --branches --notes=switchyard   what each commit was told\n",
		filepath.Join(r.Dir, "switchyard.yaml"), filepath.Join(r.Dir, "data", "builds", "logs"), filepath.Join(r.Dir, "shop.git"))
}
