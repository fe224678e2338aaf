package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/asl/asltest"
	"switchyard/internal/safetext"
)

// aslTest is a call of asl test.
type aslTest struct {
	paths    []string
	run      string
	junit    string
	coverage int
	missing  bool
	watch    bool

	pattern *regexp.Regexp
}

func (c *cli) aslTestCommand() *cobra.Command {
	t := &aslTest{}
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE]...",
		Short: "Run the tests of definitions, with mocked services and virtual time",
		Long: "Runs the tests in all files that end in .test.yaml, .test.yml or .test.json, in DIR\n" +
			"and below; without DIR in the current folder. Task states answer what the tests say,\n" +
			"and an hour's Wait takes no time. Exits 1 when a test fails or too little is covered.",
		Example: "  switchyard asl test deploy/pipelines --coverage-min 100\n" +
			"  switchyard asl test --run 'flaky|timeout' --watch",
		RunE: func(cmd *cobra.Command, args []string) error {
			t.paths = args
			if len(args) == 0 {
				t.paths = []string{"."}
			}
			return c.aslTest(cmd.Context(), t)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.run, "run", "", "only the tests whose name `REGEX` matches; nothing is said of coverage then")
	f.IntVar(&t.coverage, "coverage-min", 0, "fail unless each definition is covered to this `percentage`")
	f.BoolVar(&t.missing, "missing", false, "list what no test comes by")
	f.StringVar(&t.junit, "junit", "", "`file` for the results as JUnit's XML")
	f.BoolVarP(&t.watch, "watch", "w", false, "run again when a file changes, until interrupted")
	return cmd
}

func (c *cli) aslTest(ctx context.Context, t *aslTest) error {
	switch {
	case t.coverage < 0 || t.coverage > 100:
		return usagef("--coverage-min %d is no percentage: 0 to 100", t.coverage)
	case t.run != "" && t.coverage > 0:
		return usagef("--run and --coverage-min exclude each other: part of the tests covers a part")
	}
	var err error
	if t.pattern, err = regexp.Compile(t.run); err != nil {
		return usagef("--run %q is not a valid regular expression: %v", t.run, err)
	}
	if !t.watch {
		return c.testOnce(ctx, t)
	}
	return c.testAgain(ctx, t)
}

// watchEvery is how often the files are looked at.
const watchEvery = 300 * time.Millisecond

// testAgain runs the tests whenever a file below the paths has changed.
func (c *cli) testAgain(ctx context.Context, t *aslTest) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for seen := ""; ; {
		if now := asltest.Stamp(t.paths); now != seen {
			seen = now
			err := c.testOnce(ctx, t)
			var silent silentError
			if err != nil && !errors.As(err, &silent) {
				fmt.Fprintln(c.stderr, safetext.Block(err.Error()))
			}
			fmt.Fprintln(c.out, c.out.dim("waiting for a change; interrupt to end"))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// testRound is one run of all tests.
type testRound struct {
	files, definitions []string
	results            []*asltest.Result
	broken             []error // test files that cannot be used
	failed             int
	// covered is by definition, and order has those in the order of the files.
	covered map[string]*asltest.Coverage
	order   []string
}

// testOnce runs all tests and reports them.
func (c *cli) testOnce(ctx context.Context, t *aslTest) error {
	r := &testRound{covered: map[string]*asltest.Coverage{}}
	var err error
	if r.files, r.definitions, err = asltest.Find(t.paths); err != nil {
		return err
	}
	for _, path := range r.files {
		f, err := asltest.Load(path)
		if err != nil {
			r.broken = append(r.broken, err)
			continue
		}
		if err := c.testFile(ctx, t, f, r); err != nil {
			return err
		}
	}
	if t.junit != "" {
		var b bytes.Buffer
		if err := asltest.WriteJUnit(&b, r.results); err != nil {
			return err
		}
		if err := os.WriteFile(t.junit, b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return c.testVerdict(t, r)
}

func (c *cli) testVerdict(t *aslTest, r *testRound) error {
	for _, err := range r.broken {
		fmt.Fprintln(c.stderr, safetext.Block(err.Error()))
	}
	low := 0
	if t.run == "" && len(r.broken) == 0 {
		low = c.showCoverage(t, r)
	}
	switch {
	case len(r.broken) > 0:
		fmt.Fprintf(c.out, "%s: %d of %d test files cannot be used\n", c.out.bad("FAIL"), len(r.broken), len(r.files))
		return silentError{}
	case len(r.results) == 0:
		return fmt.Errorf("no test to run: there is none in %s", strings.Join(t.paths, ", "))
	case r.failed > 0:
		fmt.Fprintf(c.out, "%s: %d of %d tests failed\n", c.out.bad("FAIL"), r.failed, len(r.results))
		return silentError{}
	case t.coverage > 0 && low > 0:
		fmt.Fprintf(c.out, "%s: less than %d%% is covered of %d definitions\n", c.out.bad("FAIL"), t.coverage, low)
		return silentError{}
	}
	fmt.Fprintf(c.out, "%s: %d tests\n", c.out.good("PASS"), len(r.results))
	return nil
}

// testFile runs the tests of a file and prints each.
func (c *cli) testFile(ctx context.Context, t *aslTest, f *asltest.File, r *testRound) error {
	definition := f.DefinitionPath()
	if r.covered[definition] == nil {
		r.covered[definition] = f.NewCoverage()
		r.order = append(r.order, definition)
	}
	titled := false
	for i := range f.Tests {
		if !t.pattern.MatchString(f.Tests[i].Name) {
			continue
		}
		if !titled {
			titled = true
			fmt.Fprintln(c.out, safetext.Line(f.Path))
		}
		result, err := f.Run(ctx, &f.Tests[i], r.covered[definition])
		if err != nil {
			return err
		}
		r.results = append(r.results, result)
		if !result.Passed() {
			r.failed++
		}
		c.showTest(result)
	}
	return nil
}

func (c *cli) showTest(r *asltest.Result) {
	word := c.out.good("ok  ")
	if !r.Passed() {
		word = c.out.bad("FAIL")
	}
	fmt.Fprintf(c.out, "  %s %s\n", word, safetext.Line(r.Name))
	for _, d := range r.Differences {
		for line := range strings.Lines(safetext.Block(d)) {
			fmt.Fprintf(c.out, "         %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// showCoverage prints what was covered, and counts the definitions of which it
// was too little; one without tests is covered to 0%.
func (c *cli) showCoverage(t *aslTest, r *testRound) (low int) {
	for _, path := range r.order {
		cov := r.covered[path]
		var parts []string
		for _, k := range asltest.Kinds {
			if n, all := cov.Count(k); all > 0 {
				parts = append(parts, fmt.Sprintf("%s %d/%d", k, n, all))
			}
		}
		fmt.Fprintf(c.out, "%s: %d%% covered: %s\n", safetext.Line(path), cov.Percent(), strings.Join(parts, ", "))
		less := cov.Percent() < t.coverage
		if less {
			low++
		}
		if !t.missing && !less {
			continue
		}
		for _, p := range cov.Missing() {
			fmt.Fprintf(c.out, "  %s\n", safetext.Line(fmt.Sprintf("not covered: %q: %s", p.State, p.Text)))
		}
	}
	for _, path := range r.definitions {
		if r.covered[path] == nil {
			fmt.Fprintf(c.out, "%s has no tests\n", safetext.Line(path))
			low++
		}
	}
	return low
}
