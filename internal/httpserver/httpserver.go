// Package httpserver makes the HTTP servers that face the network: of webhooks and
// pages, and of the engine's port.
package httpserver

import (
	"net/http"
	"time"
)

// New returns a server for h with the limits that no handler can set. Headers must
// come within 10 s and 64 KiB, and an idle connection is closed after two minutes.
// The time for a body is the handler's own, and there is no WriteTimeout, since
// the same server may stream other pages.
//
// It speaks HTTP/1.1 and, with prior knowledge, HTTP/2 without TLS, as some load
// balancers do towards what is behind them. What a connection of the latter has
// received and nobody has read yet is kept small.
func New(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          100,
			MaxReceiveBufferPerConnection: 512 << 10,
			MaxReceiveBufferPerStream:     128 << 10,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
		},
	}
}
