package app

import (
	"context"
	"io"
	"regexp"
	"strings"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/annotate"
)

// details finds what there is to an execution beside its state: the tests that it
// reported and, where it did not succeed, the end of its log and the lines that
// its tools complain about.
type details struct {
	// log copies the end of each build's log, by execution.
	log func(ctx context.Context, execution string, w io.Writer) error
	// reports has the files of reports read; nil where there are none.
	reports func(execution string, f func(name string, r io.Reader) error) error
	root    annotate.Root
}

func (a *App) newDetails() *details {
	if a.embedded == nil {
		return &details{log: a.cloudLogs.tail, root: inCodeBuild}
	}
	builds := a.embedded.builds
	return &details{log: a.embedded.copyLog, reports: builds.Reports, root: builds.InSource}
}

// describe implements [status.Describer].
func (d *details) describe(ctx context.Context, s dispatch.Status) (status.Details, error) {
	var out status.Details
	if s.Execution == "" {
		return out, nil
	}
	found := annotate.Collector{Root: d.root}
	if d.reports != nil {
		var tests status.Tests
		err := d.reports(s.Execution, func(_ string, r io.Reader) error {
			_ = found.JUnit(r, &tests) // reports of other forms are none of ours
			return ctx.Err()
		})
		if err != nil {
			return out, err
		}
		if tests.Total > 0 {
			out.Tests = &tests
		}
	}
	if s.State != dispatch.StatusSuccess {
		var log strings.Builder
		if err := d.log(ctx, s.Execution, &log); err != nil {
			return out, err
		}
		out.Log = log.String()
		if err := found.Log(strings.NewReader(out.Log)); err != nil {
			return out, err
		}
	}
	out.Annotations = found.Annotations()
	return out, nil
}

// codeBuildSource is where CodeBuild has a build's source: of a repository it clones
// below the host, owner and name.
var codeBuildSource = regexp.MustCompile(`^/codebuild/output/src\d+/src/(?:[\w-]+(?:\.[\w-]+)+/[^/]+/[^/]+/)?(.+)$`)

func inCodeBuild(absolute string) (string, bool) {
	found := codeBuildSource.FindStringSubmatch(absolute)
	if found == nil {
		return "", false
	}
	return found[1], true
}
