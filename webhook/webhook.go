// Package webhook authenticates git deliveries and turns them into events.
//
// Signatures are checked over the raw body before any of it is decoded, and
// 2xx is written only after the [Sink] reports the event durable.
package webhook

import (
	"context"
	"net/http"

	"switchyard/internal/event"
)

// Source verifies and decodes the deliveries of one kind of git host. It is
// safe for concurrent use.
type Source interface {
	// Verify authenticates the delivery over its raw body. It decodes nothing.
	// Any error is answered 401 and leaves no trace but a log line and a count.
	Verify(h http.Header, body []byte) error
	// Decode turns a verified delivery into an event; Event.Source is set by
	// the caller. An [*Ignored] error is answered 200 with its reason, any
	// other error 400.
	Decode(h http.Header, body []byte) (event.Event, error)
}

// Sink takes ownership of ev. Nil promises that ev survives a crash; on error
// the handler answers 503 and the delivery is not ours. Safe for concurrent use.
type Sink interface {
	Accept(ctx context.Context, ev event.Event) (event.Receipt, error)
}

// Ignored is a delivery that is genuine but asks for nothing, such as a ping.
type Ignored struct{ Reason string }

func (e *Ignored) Error() string { return "ignored: " + e.Reason }
