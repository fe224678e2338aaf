// Package webhook authenticates git deliveries and turns them into events.
//
// Signatures are checked over the raw body before any of it is decoded, and
// 2xx is written only after the [Sink] reports the event durable.
package webhook

import (
	"context"
	"net/http"
	"strings"

	"switchyard/internal/event"
)

// Source verifies and decodes the deliveries of one kind of git host. It is
// safe for concurrent use. The body is reused once a call returns: a Source
// keeps no part of it.
type Source interface {
	// Verify authenticates the delivery over its raw body. It decodes nothing.
	// Any error is answered 401 with its text, and leaves no trace but a log
	// line and a count.
	Verify(h http.Header, body []byte) error
	// Decode turns a verified delivery into an event; Event.Source is set by
	// the caller. An [*Ignored] error is answered 200 with its reason, beside
	// an event of which at least DeliveryID is set; a [*MediaTypeError] 415;
	// any other error 400. The texts of errors reach the caller.
	Decode(h http.Header, body []byte) (event.Event, error)
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

// MediaTypeError is a body of a media type that the source never sends.
type MediaTypeError struct {
	Got  string
	Want []string
}

func (e *MediaTypeError) Error() string {
	return "Content-Type " + e.Got + " is not accepted: set the webhook's content type to " + strings.Join(e.Want, " or ")
}
