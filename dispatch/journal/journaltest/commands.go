package journaltest

import (
	"testing"
	"time"

	"switchyard/dispatch"
)

// command expands the delivery of a command.
func (f *fixture) command(seq int64, answer dispatch.Answer, acts ...dispatch.Act) []dispatch.Change {
	f.t.Helper()
	changes, err := f.j.Expand(f.t.Context(), []dispatch.Expansion{{Delivery: seq, Acts: acts, Answers: []dispatch.Answer{answer}, At: f.now}})
	f.must(err)
	return changes
}

func (f *fixture) answers(at time.Time, except ...string) (texts []string, found []dispatch.Answer, next time.Time) {
	f.t.Helper()
	found, next, err := f.j.NextAnswers(f.t.Context(), at, 10, except)
	f.must(err)
	for _, a := range found {
		texts = append(texts, a.Comment+": "+a.Text+a.Unlabel)
	}
	return texts, found, next
}

func comment(id string) dispatch.Answer {
	return dispatch.Answer{Source: "github", Repository: "acme/api", PullRequest: 12, Comment: id, Text: "Done:"}
}

func commands(t *testing.T, f *fixture) {
	f.push(f.request("a", reporting), f.request("b"), f.request("c"), f.request("w", inEnvironment("prod")))
	f.start("a")
	f.finish("a", dispatch.StateFailed)
	f.start("b")
	seq := f.deliver("command")
	again := dispatch.Act{Execution: "a", Route: "branches", Commit: "sha-a", Again: true, Reason: "rerun of a by ada",
		Resume: dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending, Description: "Queued again"}}}
	stop := func(id string) dispatch.Act {
		return dispatch.Act{Execution: id, Route: "branches", Commit: "sha-" + id, Reason: "stopped by ada",
			Stop: dispatch.StopRequest{Reason: "stopped by ada", At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusError, Description: "Not started"}}}
	}
	running := again
	running.Execution = "b"
	acts := []dispatch.Act{again, running, stop("w"), stop("b"), stop("a"), stop("none")}
	f.diff("what changed", []string{"a-r2 ready", "w aborted"}, changed(f.command(seq, comment("7"), acts...)))
	f.diff("states", []dispatch.State{dispatch.StateFailed, dispatch.StateReady, dispatch.StateRunning, dispatch.StateReady, dispatch.StateAborted}, f.states("a", "a-r2", "b", "c", "w"))
	if x := f.execution("b"); x.StopReason != "stopped by ada" {
		t.Errorf("%+v", x)
	}
	if x := f.execution("a-r2"); x.Reason != "rerun of a by ada" || !x.Rerun || string(x.Input) != `{"id":"a"}` || x.Delivery != "github:delivery-1" {
		t.Errorf("%+v", x)
	}
	d, err := f.j.Delivery(t.Context(), "github:command")
	f.must(err)
	var reasons []string
	for _, r := range d.Reasons {
		reasons = append(reasons, r.Execution+" "+r.Reason)
	}
	f.diff("reasons", []string{"a-r2 rerun of a by ada", "b it has not ended, and cannot be run again before", "w stopped by ada", "b stopped by ada",
		"a it had ended already", "none it is not known any more"}, reasons)
	texts, _, _ := f.answers(f.now)
	want := "7: Done:\n- `a-r2`: rerun of a by ada\n- `b`: it has not ended, and cannot be run again before\n- `w`: stopped by ada\n- `b`: stopped by ada\n- `a`: it had ended already\n- `none`: it is not known any more"
	f.diff("the answer", []string{want}, texts)

	// Again, because the first report was lost.
	f.diff("nothing changes", []string{}, changed(f.command(seq, comment("7"), acts...)))
	if texts, _, _ := f.answers(f.now); len(texts) != 1 {
		t.Errorf("answers %q", texts)
	}
}

func answers(t *testing.T, f *fixture) {
	for _, id := range []string{"1", "2"} {
		f.command(f.deliver("c"+id), comment(id))
	}
	elsewhere := comment("3")
	elsewhere.Source, elsewhere.Text, elsewhere.Unlabel = "gitea", "", "safe to test"
	f.command(f.deliver("c3"), elsewhere)
	depth, err := f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("unfinished", int64(3), depth.Answers)
	texts, all, _ := f.answers(f.now)
	f.diff("the oldest first", []string{"1: Done:", "2: Done:", "3: safe to test"}, texts)
	if a := all[0]; a.Source != "github" || a.Repository != "acme/api" || a.PullRequest != 12 || a.Tries != 0 || !a.WantedAt.Equal(f.now.Add(-2*time.Second)) || a.Delivery == 0 {
		t.Errorf("%+v", a)
	}
	texts, _, _ = f.answers(f.now, "github")
	f.diff("without a source", []string{"3: safe to test"}, texts)

	f.must(f.j.AnswerFailed(t.Context(), all[0].Seq, f.now.Add(time.Minute), "502"))
	f.must(f.j.AnswerGiven(t.Context(), all[1].Seq))
	f.must(f.j.AnswerGiven(t.Context(), all[1].Seq))
	f.must(f.j.AnswerFailed(t.Context(), all[1].Seq, f.now, "gone"))
	texts, _, next := f.answers(f.now)
	f.diff("due", []string{"3: safe to test"}, texts)
	if !next.Equal(f.now.Add(time.Minute)) {
		t.Errorf("the next falls due at %v", next)
	}
	texts, all, _ = f.answers(f.now.Add(time.Minute))
	f.diff("due later", []string{"3: safe to test", "1: Done:"}, texts)
	f.diff("tries", 1, all[1].Tries)
}

// labelsThatAreGivenAgain has those stay that were to be taken off before.
func labelsThatAreGivenAgain(t *testing.T, f *fixture) {
	off := func(number int, label string) dispatch.Answer {
		return dispatch.Answer{Source: "github", Repository: "acme/api", PullRequest: number, Unlabel: label, Head: "head"}
	}
	f.command(f.deliver("commit"), off(1, "Safe"))
	f.command(f.deliver("other label"), off(1, "docs"))
	f.command(f.deliver("other pull request"), off(2, "Safe"))
	f.command(f.deliver("said"), comment("c"))
	given := off(1, "safe")
	_, err := f.j.Expand(t.Context(), []dispatch.Expansion{{Delivery: f.deliver("labeled"), Lane: "1", Labeled: &given, At: f.now}})
	f.must(err)
	texts, found, _ := f.answers(f.now)
	f.diff("left", []string{": docs", ": Safe", "c: Done:"}, texts)
	f.diff("the head", "head", found[0].Head)
}
