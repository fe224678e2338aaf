// Package webhook authenticates git deliveries and turns them into events.
//
// Signatures are checked over the raw body before any of it is decoded, and
// 2xx is written only after the [Sink] reports the event durable.
package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"switchyard/internal/event"
)

// Source verifies and decodes the deliveries of one kind of git host. It is
// safe for concurrent use. The body is reused once a call returns: a Source
// keeps no part of it.
type Source interface {
	// Verify authenticates the delivery over its raw body. It decodes nothing.
	// An [*UnsureError] is answered 503 and a [*ForbiddenError] 403; any other
	// 401 with its text, and leaves no trace but a log line and a count.
	Verify(h http.Header, body []byte) error
	// Decode turns a verified delivery into an event; Event.Source is set by
	// the caller. An [*Ignored] error is answered 200 with its reason, beside
	// an event of which at least DeliveryID is set; a [*MediaTypeError] 415; an
	// [*UnsureError] 503; any other error 400. The texts of errors reach the caller.
	Decode(h http.Header, body []byte) (event.Event, error)
}

// Several is a [Source] one delivery of which may tell of several refs, each of
// which is an event of its own. It is asked in the place of Decode.
type Several interface {
	// DecodeAll returns at least one event, each with a DeliveryID of its own
	// that is the same whenever the delivery is sent again. Errors are those of
	// Decode.
	DecodeAll(h http.Header, body []byte) ([]event.Event, error)
}

// DecodeAll returns all events of a verified delivery.
func DecodeAll(s Source, h http.Header, body []byte) ([]event.Event, error) {
	if many, ok := s.(Several); ok {
		return many.DecodeAll(h, body)
	}
	ev, err := s.Decode(h, body)
	return []event.Event{ev}, err
}

// Only is what Decode returns of a source that is [Several].
func Only(all []event.Event, err error) (event.Event, error) {
	if len(all) > 1 && err == nil {
		return event.Event{}, fmt.Errorf("the delivery tells of %d refs at once", len(all))
	}
	if len(all) == 0 {
		return event.Event{}, err
	}
	return all[0], err
}

// Decoder turns a message that a door has taken out of its envelope into
// events, at least one, each with a DeliveryID. Errors are those of
// [Source.Decode]. It is safe for concurrent use, and keeps no part of the
// message.
type Decoder interface {
	DecodeMessage(message []byte) ([]event.Event, error)
}

// Prechecker is a [Source] that can tell from the header alone that a delivery
// is not genuine. Such a one is answered 401 with the error's text before its
// body is read.
type Prechecker interface {
	Precheck(h http.Header) error
}

// precheck is the word of a source that can tell; nil of any other.
func precheck(s Source, h http.Header) error {
	if p, ok := s.(Prechecker); ok {
		return p.Precheck(h)
	}
	return nil
}

// Sink takes ownership of ev. Nil promises that ev survives a crash; on error
// the handler answers 503, and the sender is to send the delivery again. An
// error that has the method RetryIn() [time.Duration] says when; otherwise it
// is 5 s. One whose method NotTaken() bool returns true says that nothing was
// written; after any other the delivery may have been taken, and the sender is
// told so. Safe for concurrent use.
type Sink interface {
	Accept(ctx context.Context, ev event.Event) (event.Receipt, error)
}

// Ignored is a delivery that is genuine but asks for nothing, such as a ping.
type Ignored struct{ Reason string }

func (e *Ignored) Error() string { return "ignored: " + e.Reason }

// ForbiddenError is the refusal of a sender who is known and not allowed. It is
// answered 403 with its text.
type ForbiddenError struct{ Reason string }

func (e *ForbiddenError) Error() string { return e.Reason }

// UnsureError says that a source cannot tell now whether a delivery is genuine,
// or act on it, because something that it needs does not answer. It is answered
// 503, so that the sender tries again.
type UnsureError struct{ Err error }

func (e *UnsureError) Error() string { return e.Err.Error() }
func (e *UnsureError) Unwrap() error { return e.Err }

// MediaTypeError is a body of a media type that the source never sends.
type MediaTypeError struct {
	Got  string
	Want []string
}

func (e *MediaTypeError) Error() string {
	return "Content-Type " + e.Got + " is not accepted: set the webhook's content type to " + strings.Join(e.Want, " or ")
}
