//go:build linux

package build

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of attacks in docs/security.md")

const (
	tableBegins = "<!-- The table below is written by go test ./build -run TestDocsHaveTheAttacks -update -->\n"
	tableEnds   = "<!-- end of the table -->\n"
)

// TestDocsHaveTheAttacks holds the table in docs/security.md against the suite.
func TestDocsHaveTheAttacks(t *testing.T) {
	path := filepath.Join("..", "docs", "security.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	if !found || !ends {
		t.Fatalf("%s has no place for the table of attacks", path)
	}
	want := attackTable()
	if *update {
		if err := os.WriteFile(path, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("the table of attacks in %s is not the suite's: go test ./build -run TestDocsHaveTheAttacks -update", path)
	}
}

// attackTable has a row for what stops attacks, or for why nothing does, with
// the attacks that it stops.
func attackTable() string {
	var b strings.Builder
	b.WriteString("\n| attacks | what stops them | tests |\n| --- | --- | --- |\n")
	var gaps strings.Builder
	var stops []string
	names, files := make(map[string][]string), make(map[string][]string)
	for _, file := range slices.Sorted(maps.Keys(tables)) {
		for _, a := range tables[file] {
			if a.gap != "" {
				fmt.Fprintf(&gaps, "| %s | **nothing:** %s | `%s` |\n", a.name, a.gap, file)
				continue
			}
			if names[a.stop] == nil {
				stops = append(stops, a.stop)
			}
			names[a.stop] = append(names[a.stop], a.name)
			if f := "`" + file + "`"; !slices.Contains(files[a.stop], f) {
				files[a.stop] = append(files[a.stop], f)
			}
		}
	}
	for _, stop := range stops {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(names[stop], "; "), stop, strings.Join(files[stop], ", "))
	}
	for _, e := range elsewhere {
		fmt.Fprintf(&b, "| %s | %s | `%s` in `%s` |\n", e.attack, e.stop, e.test, e.file)
	}
	return b.String() + gaps.String() + "\n"
}

// elsewhere are attacks that other tests try.
var elsewhere = []struct{ attack, stop, test, file string }{
	{"escapes for the terminal in a log, shown by `switchyard executions log`", "what is not printable is escaped", "TestLogOnATerminalIsEscapedAndWhole", "cmd/switchyard/output_test.go"},
	{"markup in a log or a name, shown on the page", "all text is escaped", "TestPageShowsHostileTextAsText", "ui/ui_test.go"},
	{"markup, escapes and bidi marks in branches, messages and authors, shown on the dashboard", "all text is escaped, and the content policy allows no inline script or style", "TestTracksShowHostileTextAsText", "ui/dashboard/tracks_test.go"},
	{"forms sent by other sites to somebody who has signed in", "a key of the session in each form, and the browser's word of where a form comes from", "TestFormsMustComeFromThePage", "ui/dashboard/session_test.go"},
	{"markup in states, events, outputs and logs of an execution, shown on the dashboard", "all text is escaped, in the picture too", "TestExecutionShowsHostileTextAsText", "ui/dashboard/execution_test.go"},
	{"acts of somebody who has signed in as a viewer", "each act looks at the session's role", "TestActsAreForOperators", "ui/dashboard/execution_test.go"},
	{"sign-in that leads to another site", "only paths of our own are gone on to", "TestSignInByToken", "ui/dashboard/session_test.go"},
	{"escapes, bidi marks and HTML in names of states, errors and causes of a history", "escaped in the terminal; texts are bounded", "TestLineOfAnEvent", "dispatch/history_test.go"},
	{"names that forge lines of the service's own log", "what is not printable is escaped", "TestLogLinesCannotBeForged", "cmd/switchyard/logging_test.go"},
	{"names of branches and repositories that are commands", "they reach builds as data alone", "TestHostileNamesReachBuildsAsDataAlone", "cmd/switchyard/internal/app/badinput_test.go"},
	{"environment and memory of a whole `switchyard serve`, by its own user without isolation", "the service keeps its secrets in memory, and is not dumpable", "TestServiceHidesItsSecrets", "cmd/switchyard/environment_test.go"},
	{"object of the mirror with other content, without isolation", "the commit's objects are held against their IDs before each checkout", "TestBuildCantChangeTheMirror", "build/isolation_test.go"},
	{"commit of a few objects that is more files than any disk has room for", "what a commit takes is known before it is checked out; more than `builds.disk` is refused", "TestCommitOfMoreThanThereIsRoomFor", "build/limits_test.go"},
	{"secrets, network and shared folders for a fork's commit", "they are withheld, whatever the state machine passes on", "TestBuildOfAForkGetsNothingOfTheProject", "build/origin_test.go"},
	{"cache of main filled by a branch, a fork or a commit that only claims to be main's", "a cache belongs to its scope; the repository is asked which branch has a commit", "TestCachesAreKeptApartByTrust", "build/cache_test.go"},
	{"links and names in a cache that lead out", "caches are copied below their folders only (os.Root)", "TestCacheHoldsWhatItIsToHold", "build/cache_test.go"},
	{"build that outlives a killed service", "its namespaces end with the command at hand, or when the next service begins", "TestIsolatedBuildDoesNotOutliveTheNextSwitchyard", "build/isolation_test.go"},
}

func TestAttacksElsewhereAreThere(t *testing.T) {
	for _, e := range elsewhere {
		text, err := os.ReadFile(filepath.Join("..", e.file))
		if err != nil || !strings.Contains(string(text), "\nfunc "+e.test+"(t *testing.T)") {
			t.Errorf("%s has no %s: %v", e.file, e.test, err)
		}
	}
}

func TestAttacksAreTold(t *testing.T) {
	seen := make(map[string]bool)
	for _, a := range allAttacks() {
		switch {
		case seen[a.name]:
			t.Errorf("%q is there twice", a.name)
		case a.stop == "":
			t.Errorf("%q does not say what stops it", a.name)
		case (a.script == "") == (a.inside == nil) && !a.early:
			t.Errorf("%q has to be a script or a function", a.name)
		case strings.ContainsAny(a.name+a.stop+a.gap, "|\n"):
			t.Errorf("%q can't be told in a table", a.name)
		}
		seen[a.name] = true
	}
}
