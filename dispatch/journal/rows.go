package journal

import (
	"encoding/json"
	"strings"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// executionColumns are those that scanExecution reads, from requests r and
// deliveries d.
const executionColumns = `r.seq, r.id, r.base, r.attempt, coalesce(d.source || ':' || d.delivery_id, ''), r.route, r.state_machine,
	r.environment, r.source, r.repository, r.ref, r.kind, r.pull_request, r.sha, r.title, r.author, r.reason, r.cancel_superseded,
	r.state, r.stop_reason, r.superseded_by, r.tries, r.last_error, r.due_at, r.arn, r.created_at, r.started_at, r.stopped_at,
	r.error, r.cause, coalesce(d.traceparent, ''), r.head_repository, r.teardown, r.rerun, r.redrives, r.redrive_of,
	coalesce((SELECT a.title FROM approvals a WHERE a.request = r.seq AND a.state = 'waiting' ORDER BY a.seq DESC LIMIT 1), ''),
	coalesce((SELECT a.id FROM approvals a WHERE a.request = r.seq AND a.state = 'waiting' ORDER BY a.seq DESC LIMIT 1), '')`

const executionTables = ` FROM requests r LEFT JOIN deliveries d ON d.seq = r.delivery `

// scanExecution reads executionColumns, and after them what more names.
func scanExecution(s scan, more ...any) (dispatch.Execution, error) {
	var x dispatch.Execution
	var kind, state, redriveOf string
	var due, created, started, stopped int64
	err := s(append([]any{
		&x.Seq, &x.ID, &x.Base, &x.Attempt, &x.Delivery, &x.Route, &x.StateMachine,
		&x.Environment, &x.Source, &x.Repository, &x.Ref, &kind, &x.PullRequest, &x.SHA, &x.Title, &x.Author, &x.Reason, &x.CancelSuperseded,
		&state, &x.StopReason, &x.SupersededBy, &x.Tries, &x.LastError, &due, &x.ARN, &created, &started, &stopped,
		&x.Error, &x.Cause, &x.Traceparent, &x.HeadRepository, &x.Teardown, &x.Rerun, &x.Redrives, &redriveOf, &x.WaitsFor, &x.Approval,
	}, more...)...)
	x.Kind, x.State, x.RedriveOf = event.Kind(kind), dispatch.State(state), dispatch.State(redriveOf)
	x.CreatedAt, x.StartedAt, x.StoppedAt = timeOf(created), timeOf(started), timeOf(stopped)
	if x.State == dispatch.StateReady {
		x.DueAt = timeOf(due)
	}
	return x, err
}

const deliveryColumns = `d.seq, d.source, d.delivery_id, d.kind, d.repository, d.ref, d.commits, d.received_at, d.traceparent,
	d.seq <= (SELECT expanded FROM progress) AND NOT EXISTS (SELECT 1 FROM reopened o WHERE o.delivery = d.seq),
	coalesce((SELECT f.reason FROM deferred f WHERE f.delivery = d.seq), ''), coalesce((SELECT f.due_at FROM deferred f WHERE f.delivery = d.seq), 0),
	coalesce((SELECT f.tries FROM deferred f WHERE f.delivery = d.seq), 0),
	(SELECT count(*) FROM requests r WHERE r.delivery = d.seq),
	coalesce((SELECT i.count FROM ignored i WHERE i.delivery = d.seq), 0)`

func scanDelivery(s scan, more ...any) (dispatch.Delivery, error) {
	var d dispatch.Delivery
	var kind string
	var received, due int64
	var expanded bool
	err := s(append([]any{
		&d.Seq, &d.Source, &d.DeliveryID, &kind, &d.Repository, &d.Ref, &d.Commits, &received, &d.Traceparent,
		&expanded, &d.WaitsFor, &due, &d.Tries, &d.Requested, &d.Ignored,
	}, more...)...)
	d.ID = dispatch.DeliveryID(d.Source, d.DeliveryID)
	d.Kind, d.ReceivedAt, d.State = event.Kind(kind), timeOf(received), dispatch.DeliveryPending
	switch {
	case expanded && d.WaitsFor != "":
		d.State, d.NextTry = dispatch.DeliveryCompleting, timeOf(due)
	case expanded:
		d.State = dispatch.DeliveryExpanded
	default:
		d.WaitsFor = ""
	}
	return d, err
}

// splitDelivery takes a delivery's ID apart. The names of sources have no
// colon.
func splitDelivery(id string) (source, deliveryID string) {
	source, deliveryID, _ = strings.Cut(id, ":")
	return source, deliveryID
}

func encodeReasons(reasons []dispatch.Ignored) ([]byte, error) { return json.Marshal(reasons) }

func decodeReasons(text []byte) (reasons []dispatch.Ignored, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	err = json.Unmarshal(text, &reasons)
	return reasons, err
}
