package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/api/sigv4"
)

// DoorConfig says who may come in.
type DoorConfig struct {
	// Verifier checks every request's signature. Nil lets in whoever reaches the
	// port, signed or not: for a loopback address only.
	Verifier *sigv4.Verifier
	// Hosts are the names and addresses that a request's Host header may have,
	// beside those of the loopback and the address that it came in by.
	Hosts []string
}

// Door stands between a port and a [Server]. It refuses what a web page can have
// a browser send, whatever name the page's server gave this machine (DNS
// rebinding), and what is not signed with one of the keys. It is safe for
// concurrent use.
type Door struct {
	server *Server
	cfg    DoorConfig
}

var _ http.Handler = (*Door)(nil)

// NewDoor returns a door to s.
func NewDoor(s *Server, cfg DoorConfig) (*Door, error) {
	if s == nil {
		return nil, errors.New("api: no server behind the door")
	}
	d := &Door{server: s, cfg: DoorConfig{Verifier: cfg.Verifier}}
	for _, h := range cfg.Hosts {
		d.cfg.Hosts = append(d.cfg.Hosts, plainHost(h))
	}
	return d, nil
}

// ServeHTTP implements [http.Handler].
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := d.admit(r); err != nil {
		status, body := d.server.failure(r, err)
		// The body may not have been read, and a stranger's is not waited for.
		w.Header().Set("Connection", "close")
		write(w, status, body)
		return
	}
	d.server.ServeHTTP(w, r)
}

// admit returns why the request is refused. It leaves one that is let in with
// its body still to be read.
func (d *Door) admit(r *http.Request) error {
	if err := d.checkHost(r); err != nil {
		return err
	}
	if err := checkBrowser(r); err != nil {
		return err
	}
	v := d.cfg.Verifier
	if v == nil {
		return nil
	}
	if err := v.Precheck(r); err != nil {
		return unverified(err)
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return unverified(v.Verify(r, body))
}

// unverified is the answer to a request whose signature is refused: AWS's JSON
// services say 400.
func unverified(err error) error {
	var refused *sigv4.Error
	if errors.As(err, &refused) {
		return &requestError{http.StatusBadRequest, refused.Code, refused.Message}
	}
	return err
}

// checkHost refuses names that are not this engine's.
func (d *Door) checkHost(r *http.Request) error {
	host := plainHost(r.Host)
	if host == "localhost" || slices.Contains(d.cfg.Hosts, host) {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ip.IsLoopback() || local != nil && local.IP.Equal(ip) {
			return nil
		}
	}
	return &requestError{http.StatusForbidden, "AccessDeniedException", fmt.Sprintf("the engine has no name %s: use the address that it listens on, or list the name under engine.embedded.hosts", strconv.QuoteToASCII(host))}
}

// plainHost is a host without port, brackets, a dot at its end and capitals.
func plainHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// browserHeaders are set by browsers alone, which don't let a page change them.
var browserHeaders = []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"}

// checkBrowser refuses what a browser sends, and above all what one sends to
// another site without asking it first.
func checkBrowser(r *http.Request) error {
	for _, name := range browserHeaders {
		if r.Header.Values(name) != nil {
			return &requestError{http.StatusForbidden, "AccessDeniedException", "the header " + name + " is a browser's: web pages may not call the engine"}
		}
	}
	if r.Method != http.MethodPost {
		return nil // not an action
	}
	switch media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case err == nil && slices.Contains([]string{contentType, "application/x-amz-json-1.1", "application/json"}, media):
		return nil
	default:
		return &requestError{http.StatusUnsupportedMediaType, "SerializationException", "the header Content-Type must be " + contentType}
	}
}
