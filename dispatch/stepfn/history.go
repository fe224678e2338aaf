package stepfn

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"switchyard/dispatch"
)

const (
	// maxDetail is how many bytes of one text of an event's details are kept, and
	// maxDetails how many bytes of details a page has before it ends early.
	maxDetail  = 4 << 10
	maxDetails = 1 << 20
	// readBack is how many events are read at a time from the newest on, and
	// readFurther how many more such pages to find out in which state an event
	// happened.
	readBack    = 200
	readFurther = 4
)

var _ dispatch.Historian = (*Client)(nil)

// History implements [dispatch.Historian]. The API pages by tokens that expire;
// here a page is found by the IDs of events, which are numbered from 1.
func (c *Client) History(ctx context.Context, executionARN string, q dispatch.HistoryQuery) ([]dispatch.HistoryEvent, int64, error) {
	op := operation{"read the history of execution", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return nil, 0, fmt.Errorf("%v: %w", op, err)
	}
	in := &sfn.GetExecutionHistoryInput{ExecutionArn: &executionARN, ReverseOrder: q.NewestFirst, IncludeExecutionData: aws.Bool(q.Data), MaxResults: readBack}
	if !q.NewestFirst {
		in.MaxResults = int32(min(max(q.After+int64(q.Limit), readBack), historyPage))
	}
	var read historyPlaces
	page := historyPart{query: q}
	for further := 0; ; {
		out, err := api.GetExecutionHistory(ctx, in)
		if err != nil {
			return nil, 0, classify(ctx, op, err)
		}
		for i := range out.Events {
			e := &out.Events[i]
			read.add(e)
			if err := page.add(e); err != nil {
				return nil, 0, fmt.Errorf("%v: event %d: %v", op, e.Id, err)
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
		if page.full {
			if !q.NewestFirst || further == readFurther || read.known(page.events) {
				break
			}
			further++
		}
	}
	read.place(page.events)
	next := int64(0)
	if page.full {
		next = page.events[len(page.events)-1].ID
	}
	return page.events, next, nil
}

// historyPart collects the events that a query asks for.
type historyPart struct {
	query  dispatch.HistoryQuery
	events []dispatch.HistoryEvent
	size   int
	// full is true when there is another event behind those.
	full bool
}

func (p *historyPart) add(e *types.HistoryEvent) error {
	before := p.query.After != 0 && (p.query.NewestFirst && e.Id >= p.query.After || !p.query.NewestFirst && e.Id <= p.query.After)
	if before || p.full {
		return nil
	}
	if len(p.events) > 0 && (len(p.events) >= p.query.Limit || p.size >= maxDetails) {
		p.full = true
		return nil
	}
	details, cut, err := detailsOf(e)
	if err != nil {
		return err
	}
	p.size += len(details)
	p.events = append(p.events, dispatch.HistoryEvent{
		ID: e.Id, Previous: e.PreviousEventId, Type: string(e.Type), At: aws.ToTime(e.Timestamp).UTC(), Details: details, Cut: cut,
	})
	return nil
}

// historyPlaces finds out in which state events happened: each names the one
// that led to it, back to where a state was entered.
type historyPlaces struct{ events map[int64]placed }

// placed is what an event says of states.
type placed struct {
	previous      int64
	name          string
	entered, left bool
}

func (h *historyPlaces) add(e *types.HistoryEvent) {
	if h.events == nil {
		h.events = map[int64]placed{}
	}
	p := placed{previous: e.PreviousEventId}
	switch {
	case e.StateEnteredEventDetails != nil:
		p.name, p.entered = aws.ToString(e.StateEnteredEventDetails.Name), true
	case e.StateExitedEventDetails != nil:
		p.name, p.left = aws.ToString(e.StateExitedEventDetails.Name), true
	}
	h.events[e.Id] = p
}

// state is that in which an event happened, "" when it was in none or that was
// not read. A state that was left on the way back is passed over, up to where it
// was entered.
func (h *historyPlaces) state(id int64) (name string, known bool) {
	if p := h.events[id]; p.entered || p.left {
		return p.name, true
	}
	var left []string // a state that failed in one that was left was never left itself
	for {
		p, ok := h.events[id]
		switch {
		case id == 0:
			return "", true
		case !ok || p.previous >= id: // a history leads back
			return "", false
		case p.left:
			left = append(left, p.name)
		case p.entered && len(left) == 0:
			return p.name, true
		case p.entered && left[len(left)-1] == p.name:
			left = left[:len(left)-1]
		}
		id = p.previous
	}
}

func (h *historyPlaces) known(events []dispatch.HistoryEvent) bool {
	for i := range events {
		if _, known := h.state(events[i].ID); !known {
			return false
		}
	}
	return true
}

func (h *historyPlaces) place(events []dispatch.HistoryEvent) {
	for i := range events {
		events[i].State, _ = h.state(events[i].ID)
	}
}

// detailsOf are the details of an event as JSON, under the names of the API.
// There are some forty kinds, each in a field of its own.
func detailsOf(e *types.HistoryEvent) (text json.RawMessage, cut bool, err error) {
	if s := e.TaskScheduledEventDetails; s != nil && strings.HasSuffix(aws.ToString(s.Resource), ".waitForTaskToken") {
		s.Parameters = aws.String(hideTokens(aws.ToString(s.Parameters)))
	}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); strings.HasSuffix(v.Type().Field(i).Name, "EventDetails") && !f.IsNil() {
			text, err = json.Marshal(plain(f, &cut))
			return text, cut, err
		}
	}
	return nil, false, nil
}

// plain turns a value of the SDK's into one of JSON, its texts shortened.
func plain(v reflect.Value, cut *bool) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem(), cut)
	case reflect.String:
		return shorten(v.String(), cut)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), cut)
		}
		return list
	case reflect.Struct:
		if at, ok := v.Interface().(time.Time); ok {
			return at
		}
		fields := map[string]any{}
		for i := range v.NumField() {
			f, value := v.Type().Field(i), v.Field(i)
			if !f.IsExported() || value.Kind() == reflect.Pointer && value.IsNil() {
				continue
			}
			fields[strings.ToLower(f.Name[:1])+f.Name[1:]] = plain(value, cut)
		}
		return fields
	default:
		return v.Interface()
	}
}

// shorten keeps the beginning of a text, to the edge of a rune.
func shorten(s string, shortened *bool) string {
	if len(s) <= maxDetail {
		return s
	}
	*shortened = true
	n := maxDetail
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
