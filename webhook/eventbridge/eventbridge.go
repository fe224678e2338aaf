// Package eventbridge is the door for EventBridge API destinations: a rule posts
// each event that it matches.
//
// An API destination signs nothing. It proves who it is by what its connection
// holds: an API key in a header, or a user name and password (Basic). So the
// header alone decides, before the body is read, and the service must be reached
// over TLS.
//
// EventBridge waits 5 s for an answer, and posts again after 429 and 5xx alone:
// for 24 hours unless the rule says otherwise, with the same event ID. The facts
// are from the EventBridge user guide, "API destinations as targets".
package eventbridge

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// DefaultHeader is the header of the API key where the config names none.
const DefaultHeader = "X-Api-Key"

// Config is what a connection may present. There must be at least one key or
// login, and there are several while one is rotated out.
type Config struct {
	// Header is the name of the API key's header, DefaultHeader if empty.
	Header  string
	APIKeys []string
	Basic   []Login
}

// Login is a user name and password.
type Login struct{ Username, Password string }

// Source takes what API destinations post.
type Source struct {
	header string
	// keys and logins are digests, so that comparing takes as long whatever
	// their length.
	keys, logins [][sha256.Size]byte
	decoder      webhook.Decoder
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
	_ webhook.Several    = (*Source)(nil)
)

// New returns a source of the events that decoder reads.
func New(decoder webhook.Decoder, cfg Config) (*Source, error) {
	if decoder == nil {
		return nil, errors.New("eventbridge: no decoder")
	}
	if len(cfg.APIKeys) == 0 && len(cfg.Basic) == 0 {
		return nil, errors.New("eventbridge: neither api_keys nor basic: without one anybody could post events")
	}
	s := &Source{header: http.CanonicalHeaderKey(DefaultHeader), decoder: decoder}
	if cfg.Header != "" {
		s.header = http.CanonicalHeaderKey(cfg.Header)
	}
	if !ValidHeader(s.header) {
		return nil, fmt.Errorf("eventbridge: header: %q is not a header that can hold an API key", cfg.Header)
	}
	for i, key := range cfg.APIKeys {
		if key == "" {
			return nil, fmt.Errorf("eventbridge: api_keys[%d] is empty", i)
		}
		s.keys = append(s.keys, sha256.Sum256([]byte(key)))
	}
	for i, l := range cfg.Basic {
		if l.Username == "" || l.Password == "" || strings.Contains(l.Username, ":") {
			return nil, fmt.Errorf("eventbridge: basic[%d] needs a username, without a colon, and a password", i)
		}
		s.logins = append(s.logins, loginSum(l.Username, l.Password))
	}
	return s, nil
}

// ValidHeader reports whether an API key can stand in the header of that name.
// EventBridge sets some itself, and Authorization is Basic's.
func ValidHeader(name string) bool {
	for i := range len(name) {
		b := name[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' {
			return false
		}
	}
	switch http.CanonicalHeaderKey(name) {
	case "", "Authorization", "Content-Type", "Content-Length", "Content-Encoding", "Host", "User-Agent", "Range":
		return false
	}
	return true
}

// loginSum cannot take one login for another: a user name has no colon.
func loginSum(user, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(user + ":" + password))
}

// Precheck implements [webhook.Prechecker]: it is all that can be verified.
func (s *Source) Precheck(h http.Header) error {
	if len(s.keys) > 0 && h.Get(s.header) != "" {
		if contains(s.keys, sha256.Sum256([]byte(h.Get(s.header)))) {
			return nil
		}
		return fmt.Errorf("%w: the key in header %s is not one of this source's api_keys; update the connection of the API destination", webhook.ErrSignatureMismatch, s.header)
	}
	if user, password, ok := (&http.Request{Header: h}).BasicAuth(); ok && len(s.logins) > 0 {
		if contains(s.logins, loginSum(user, password)) {
			return nil
		}
		return fmt.Errorf("%w: the user name and password are not under this source's basic; update the connection of the API destination", webhook.ErrSignatureMismatch)
	}
	var ways []string
	if len(s.keys) > 0 {
		ways = append(ways, "an API key in header "+s.header)
	}
	if len(s.logins) > 0 {
		ways = append(ways, "Basic authorisation")
	}
	return fmt.Errorf("%w: the request has not %s; set it up in the connection of the API destination", webhook.ErrSignatureMissing, strings.Join(ways, " or "))
}

// contains compares with all of them, whichever is equal.
func contains(sums [][sha256.Size]byte, sum [sha256.Size]byte) bool {
	equal := 0
	for i := range sums {
		equal |= subtle.ConstantTimeCompare(sums[i][:], sum[:])
	}
	return equal == 1
}

// Verify implements [webhook.Source].
func (s *Source) Verify(h http.Header, _ []byte) error { return s.Precheck(h) }

// Decode implements [webhook.Source].
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several].
func (s *Source) DecodeAll(_ http.Header, body []byte) ([]event.Event, error) {
	return s.decoder.DecodeMessage(body)
}
