package codecommit

import (
	"errors"
	"fmt"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
)

// record is one event of a repository's trigger.
type record struct {
	AWSRegion       string `json:"awsRegion"`
	EventSource     string `json:"eventSource"`
	EventSourceARN  string `json:"eventSourceARN"`
	EventID         string `json:"eventId"`
	EventName       string `json:"eventName"`
	EventPartNumber int    `json:"eventPartNumber"`
	EventTotalParts int    `json:"eventTotalParts"`
	UserIdentityARN string `json:"userIdentityARN"`
	CodeCommit      struct {
		References []reference `json:"references"`
	} `json:"codecommit"`
}

type reference struct {
	Commit  string `json:"commit"`
	Ref     string `json:"ref"`
	Created bool   `json:"created"`
	Deleted bool   `json:"deleted"`
}

// trigger reads the records of a trigger, each ref of which is an event. What
// asks for nothing is left out where something else is asked for.
func (d *Decoder) trigger(records []record) ([]event.Event, error) {
	var ignored *webhook.Ignored
	var evs, ids []event.Event
	for i := range records {
		more, err := d.record(&records[i])
		for j := range more {
			ids = append(ids, event.Event{DeliveryID: more[j].DeliveryID})
		}
		switch {
		case errors.As(err, &ignored):
		case err != nil:
			return nil, fmt.Errorf("Records[%d].%w", i, err)
		default:
			evs = append(evs, more...)
		}
	}
	if len(evs) == 0 {
		return ids, ignored
	}
	return evs, nil
}

// record reads one record. Beside an [*webhook.Ignored] it returns an event with
// the record's ID.
func (d *Decoder) record(r *record) ([]event.Event, error) {
	if r.EventSource != "aws:codecommit" {
		return nil, fmt.Errorf("eventSource: %s, expected aws:codecommit", shown(r.EventSource))
	}
	if err := field.DeliveryID("eventId", r.EventID); err != nil {
		return nil, fmt.Errorf("eventId: %s does not identify the event", shown(r.EventID))
	}
	id := r.EventID
	if r.EventTotalParts > 1 {
		id = fmt.Sprintf("%s.part%d", id, r.EventPartNumber)
	}
	nothing := []event.Event{{DeliveryID: id}}
	switch r.EventName {
	case "ReferenceChanges":
	case "TriggerEventTest":
		return nothing, &webhook.Ignored{Reason: "a test of the trigger: it is set up"}
	default:
		return nothing, &webhook.Ignored{Reason: fmt.Sprintf("trigger event %s: only ReferenceChanges starts executions", shown(r.EventName))}
	}
	// arn:aws:codecommit:eu-west-1:123456789012:api
	arn := strings.SplitN(r.EventSourceARN, ":", 6)
	if len(arn) != 6 || arn[0] != "arn" || arn[2] != "codecommit" {
		return nil, fmt.Errorf("eventSourceARN: %s is not the ARN of a repository", shown(r.EventSourceARN))
	}
	repository, err := d.place(arn[3], arn[4], arn[5])
	if err != nil {
		return nothing, err
	}
	refs := r.CodeCommit.References
	if len(refs) == 0 {
		return nil, errors.New("codecommit.references: none, where there should be at least one")
	}
	var evs []event.Event
	var ignored *webhook.Ignored
	for i := range refs {
		ev := event.Event{DeliveryID: id, Repository: repository, Sender: person(r.UserIdentityARN)}
		if len(refs) > 1 {
			ev.DeliveryID = fmt.Sprintf("%s.%d", id, i+1)
		}
		switch err := d.changed(&refs[i], &ev); {
		case errors.As(err, &ignored):
		case err != nil:
			return nil, fmt.Errorf("codecommit.references[%d]: %w", i, err)
		default:
			evs = append(evs, ev)
		}
	}
	if len(evs) == 0 {
		return nothing, ignored
	}
	return evs, nil
}

// changed reads what became of one ref. The commit of one that was deleted is
// where it was.
func (d *Decoder) changed(r *reference, ev *event.Event) error {
	commit, err := field.SHA("commit", r.Commit)
	if err != nil {
		return err
	}
	if r.Deleted {
		return d.refUpdate(ev, r.Ref, commit, "")
	}
	ev.BeforeUnknown = !r.Created
	return d.refUpdate(ev, r.Ref, "", commit)
}
