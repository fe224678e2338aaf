package dispatch

import (
	"fmt"

	"switchyard/internal/event"
)

// decides reports whether the order approves or rejects.
func (c *order) decides() bool { return c.o.Verb == event.Approve || c.o.Verb == event.Reject }

// decide answers what the one execution asks that waits for a person. Of which
// commit that is was seen is said with a button, or may be said in a comment; a
// comment that does not say it is about the head that the pull request has.
func (c *order) decide(found []Execution, sha string) {
	var waiting []*Execution
	for _, x := range newestOf(found) {
		if x.WaitsFor != "" || c.o.Execution != "" {
			waiting = append(waiting, &x)
		}
	}
	switch {
	case len(found) == 0:
		c.none(sha)
		return
	case len(waiting) == 0:
		c.refuse("no execution of commit " + shortSHA(sha) + " waits for approval")
		return
	case len(waiting) > 1:
		c.refuse(fmt.Sprintf("%d executions of commit %s wait for approval; decide each on its own page, or by switchyard approve", len(waiting), shortSHA(sha)))
		return
	}
	x, done, way := waiting[0], "approved", ByComment
	if c.o.Verb == event.Reject {
		done = "rejected"
	}
	if c.o.Comment == "" {
		way = ByButton
	}
	seen := c.o.SHA
	if seen == "" {
		seen = sha
	}
	d := Decision{
		Execution: x.ID, Approval: c.o.Approval, Approve: c.o.Verb == event.Approve, SHA: seen, By: c.ev.Sender, ByNames: c.ev.SenderNames, Way: way, Reason: c.o.Reason,
		At: c.e.At, Said: c.said, NotOwn: c.r.cfg.NotOwn,
	}.cut()
	c.e.Acts = append(c.e.Acts, Act{
		Execution: x.ID, Route: x.Route, Commit: x.SHA, Decision: &d,
		Reason: "commit " + shortSHA(x.SHA) + " " + done + " by " + c.by(),
	})
	c.answer("")
}
