package webhook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/calmlog"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// Path is where a [Handler] is mounted; the source's name follows it.
const Path = "/webhooks/"

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// MaxBody is the largest body in bytes. Default 25 MiB, above the 25 MB
	// that GitHub sends at most.
	MaxBody int64
	// MaxBuffered bounds the memory, in bytes, of all bodies under way, and as
	// much again that of decoding large ones; see [NewBudget]. It counts where
	// no Budget is given. Default 256 MiB, or four times MaxBody if that is
	// more.
	MaxBuffered int64
	// MaxInFlight bounds the deliveries being verified, decoded and accepted
	// at once; one more is answered 503. Default 1024.
	MaxInFlight int
	// ReadTimeout bounds the reading of one body, so that a slow client is
	// cut off. Default 30 s.
	ReadTimeout time.Duration
	// AcceptTimeout bounds the wait for the Sink. Default 8 s: GitHub gives up
	// after 10 s, and an answer that says when to come again is better.
	AcceptTimeout time.Duration
}

// The outcomes that an observer is told.
const (
	OutcomeAccepted    = "accepted"
	OutcomeDuplicate   = "duplicate"
	OutcomeIgnored     = "ignored"
	OutcomeUnsigned    = "unsigned"    // 401
	OutcomeForbidden   = "forbidden"   // 403
	OutcomeUndecodable = "undecodable" // 400
	OutcomeTooLarge    = "too_large"   // 413
	OutcomeMediaType   = "media_type"  // 415
	OutcomeMethod      = "method"      // 405
	OutcomeUnknown     = "unknown"     // 404; the source's name is ""
	OutcomeSlow        = "slow"        // 408
	OutcomeBusy        = "busy"        // 503, too much at once
	OutcomeUnavailable = "unavailable" // 503, the Sink cannot take it
	OutcomeUnsure      = "unsure"      // 503, the Source cannot tell
	OutcomeFault       = "fault"       // 500, a panic in a Source
)

// Option replaces what wiring or a test supplies.
type Option func(*Handler)

// WithLogger sets where deliveries are logged; the default is nowhere. Bodies,
// secrets and signatures are never logged.
func WithLogger(log *zap.Logger) Option {
	return func(h *Handler) { h.log = log.Named("webhook") }
}

// WithObserver has f called once for each answered request with the source's
// name, one of the Outcome values and the time it took.
func WithObserver(f func(source, outcome string, took time.Duration)) Option {
	return func(h *Handler) { h.observe = f }
}

// WithBudget has the handler share the budget instead of one of its own.
func WithBudget(b *Budget) Option { return func(h *Handler) { h.budget = b } }

// Handler serves POST /webhooks/{source}. Slashes too many are overlooked: it is
// the usual mistake in setting up a webhook, and no host follows a redirect.
//
//	202 {"delivery": ID, "executions": [name, …], "new": n}   on disk; these will start
//	200 {"delivery": ID, "ignored": reason}                   genuine, but asks for nothing
//	503 {"error": text} and Retry-After                       not ours: send it again
//	400, 401, 403, 404, 405, 408, 413, 415, 500               {"error": what and how to fix it}
//
// Of a delivery that tells of several refs the answer names the first event's
// ID and the executions of all. It is 202 or 200 only once all are on disk; those
// that were on disk before a 503 are recognised when it is sent again.
//
// new is how many of the executions nobody had asked for before. A note says
// what else the sender should know.
//
// It is safe for concurrent use.
type Handler struct {
	sink     Sink
	sources  map[string]Source
	cfg      Config
	log      *zap.Logger
	failures *calmlog.Failures // of the sink
	observe  func(source, outcome string, took time.Duration)
	budget   *Budget
	inFlight atomic.Int64
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// New returns a handler for the given sources, each under its name: lower-case
// letters, digits, _ and -, at most 63.
func New(sink Sink, sources map[string]Source, cfg Config, opts ...Option) (*Handler, error) {
	if sink == nil {
		return nil, errors.New("webhook: no sink given")
	}
	for name, src := range sources {
		if !sourceName.MatchString(name) {
			return nil, fmt.Errorf("webhook: source name %q: use lower-case letters, digits, _ and -, at most 63", name)
		}
		if src == nil {
			return nil, fmt.Errorf("webhook: source %s is nil", name)
		}
	}
	if cfg.MaxBody < 0 || cfg.MaxBuffered < 0 || cfg.MaxInFlight < 0 || cfg.ReadTimeout < 0 || cfg.AcceptTimeout < 0 {
		return nil, errors.New("webhook: limits and timeouts must not be negative")
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 25 << 20
	}
	if cfg.MaxBuffered == 0 {
		cfg.MaxBuffered = max(256<<20, 4*cfg.MaxBody)
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 1024
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = 30 * time.Second
	}
	if cfg.AcceptTimeout == 0 {
		cfg.AcceptTimeout = 8 * time.Second
	}
	h := &Handler{
		sink: sink, sources: maps.Clone(sources), cfg: cfg,
		log:     zap.NewNop(),
		observe: func(string, string, time.Duration) {},
	}
	for _, opt := range opts {
		opt(h)
	}
	h.failures = calmlog.New(h.log, "delivery not accepted", "deliveries are accepted again")
	if h.budget == nil {
		h.budget = NewBudget(cfg.MaxBuffered)
	}
	return h, h.budget.check(cfg.MaxBody)
}

// Serves reports whether a [Handler] should answer requests for the path: those
// under Path, also where slashes are doubled.
func Serves(path string) bool {
	_, ok := sourceIn(path)
	return ok
}

// sourceIn is the source's name in the path of a delivery.
func sourceIn(path string) (name string, ok bool) {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	name, ok = strings.CutPrefix(path, Path)
	return strings.TrimSuffix(name, "/"), ok
}

// ServeHTTP answers one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	name, _ := sourceIn(r.URL.Path)
	src := h.sources[name]
	var a answer
	if src == nil {
		name = ""
		a = refuse(http.StatusNotFound, OutcomeUnknown, "no such source: the path is "+Path+"NAME, where NAME is a key under sources in Switchyard's configuration")
	} else {
		a = h.deliver(w, r, name, src)
	}
	// A connection of HTTP/2 carries other requests besides.
	a.close = a.close && r.ProtoMajor < 2
	a.write(w)
	h.observe(name, a.outcome, time.Since(start))
}

func (h *Handler) deliver(w http.ResponseWriter, r *http.Request, name string, src Source) answer {
	if a, refused := h.refuseUnread(w, r, name, src); refused {
		return a
	}
	buf, err := h.read(w, r)
	if err != nil {
		h.release(buf)
		return h.unread(r, name, err)
	}
	// The slot is taken only now: a client that sends slowly holds none.
	defer h.inFlight.Add(-1)
	if h.inFlight.Add(1) > int64(h.cfg.MaxInFlight) {
		h.release(buf)
		h.log.Warn("too many deliveries at once", zap.String("source", name), zap.Int("max_in_flight", h.cfg.MaxInFlight))
		return busy("too many deliveries at once")
	}
	evs, done, err := h.open(r.Context(), src, r.Header, buf)
	h.release(buf)
	defer done()
	if err != nil {
		return h.unopened(r, name, firstID(evs), err)
	}
	return h.acceptAll(r.Context(), name, evs)
}

func firstID(evs []event.Event) string {
	if len(evs) == 0 {
		return ""
	}
	return evs[0].DeliveryID
}

// lingering is how long a client may go on sending what is not read.
const lingering = 2 * time.Second

// refuseUnread refuses what needs no look at its body.
func (h *Handler) refuseUnread(w http.ResponseWriter, r *http.Request, name string, src Source) (a answer, refused bool) {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, OutcomeMethod, "this is where a git host delivers webhooks, by POST: enter it as the payload URL of a webhook there; there is nothing to see"), true
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		a = refuse(http.StatusUnsupportedMediaType, OutcomeMediaType, fmt.Sprintf("the body has Content-Encoding %s: have the sender, or the proxy between, send it uncompressed; a signature is over the bytes as they come", shown(e)))
		h.log.Warn("delivery refused", zap.String("source", name), zap.String("remote", r.RemoteAddr), zap.Int("status", a.status), zap.String("encoding", shown(e)))
	} else if err := h.precheck(src, r.Header); err != nil {
		a = h.unopened(r, name, "", err)
	} else {
		return answer{}, false
	}
	// The server would go on reading a part of the body. What is left of it
	// must not be taken for the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingering))
	a.close = true
	return a, true
}

// Errors of open that are told apart from what Decode returns.
type (
	unsignedError struct{ error }
	faultError    struct{ error }
)

// notGenuine is what err, of verifying, says of the delivery.
func notGenuine(err error) error {
	if errors.As(err, new(*UnsureError)) || errors.As(err, new(*ForbiddenError)) {
		return err
	}
	return unsignedError{err}
}

// guard makes a panic of a source an error: it costs this delivery only.
func (h *Handler) guard(err *error) {
	v := recover()
	if v == nil {
		return
	}
	cause := errors.New(safetext.Panic(v))
	h.log.Error("source panicked", zap.Error(cause), zap.StackSkip("stack", 1))
	*err = faultError{cause}
}

func (h *Handler) precheck(src Source, header http.Header) (err error) {
	defer h.guard(&err)
	if err := precheck(src, header); err != nil {
		return notGenuine(err)
	}
	return nil
}

func (h *Handler) verify(src Source, header http.Header, body []byte) (err error) {
	defer h.guard(&err)
	if err := src.Verify(header, body); err != nil {
		return notGenuine(err)
	}
	return nil
}

func (h *Handler) decode(src Source, header http.Header, body []byte) (evs []event.Event, err error) {
	defer func() {
		if errors.As(err, new(faultError)) {
			evs = nil
		}
	}()
	defer h.guard(&err)
	if evs, err = DecodeAll(src, header, body); err != nil {
		return evs, err
	}
	digest := Digest(body)
	for i := range evs {
		evs[i].Digest = cmp.Or(evs[i].Digest, digest)
	}
	return evs, nil
}

// Digest is what tells apart two deliveries that carry the same ID; see
// [event.Event].
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// open verifies, then decodes. What the events take of the budget is held until
// done is called, which is never nil.
func (h *Handler) open(ctx context.Context, src Source, header http.Header, buf *buffer) (evs []event.Event, done func(), err error) {
	done = func() {}
	if err := h.verify(src, header, buf.bytes); err != nil {
		return nil, done, err
	}
	if n := int64(len(buf.bytes)); n > ordinaryBody {
		weight := min(decodeFactor*n, h.budget.decoding.size)
		if err := h.budget.decoding.take(ctx, weight); err != nil {
			return nil, done, err
		}
		done = func() { h.budget.decoding.giveGarbage(weight) }
	}
	evs, err = h.decode(src, header, buf.bytes)
	return evs, done, err
}

// unread answers a request whose body could not be read.
func (h *Handler) unread(r *http.Request, name string, err error) answer {
	var a answer
	switch {
	case errors.Is(err, errTooLarge):
		a = refuse(http.StatusRequestEntityTooLarge, OutcomeTooLarge, fmt.Sprintf("the body is larger than %d bytes", h.cfg.MaxBody))
	case errors.Is(err, errNoMemory):
		a = busy("too many large deliveries at once")
	case isTimeout(err):
		a = refuse(http.StatusRequestTimeout, OutcomeSlow, fmt.Sprintf("the body did not arrive within %v", h.cfg.ReadTimeout))
	default:
		a = refuse(http.StatusBadRequest, OutcomeUndecodable, "the body ended early: fewer bytes came than announced")
	}
	// What is left of the body would be read as the next request.
	a.close = true
	h.log.Warn("delivery not read", zap.String("source", name), zap.String("remote", r.RemoteAddr), zap.Int("status", a.status), zap.Error(err))
	return a
}

// unopened answers a delivery that is not genuine, not understood or asks for
// nothing.
func (h *Handler) unopened(r *http.Request, name, id string, err error) answer {
	var (
		unsure    *UnsureError
		forbidden *ForbiddenError
		unsigned  unsignedError
		fault     faultError
		ignored   *Ignored
		mediaType *MediaTypeError
	)
	switch {
	case errors.Is(err, errNoMemory):
		h.log.Warn("too many large deliveries at once", zap.String("source", name))
		return busy("too many large deliveries at once")
	case errors.As(err, &ignored):
		h.log.Info("delivery ignored", zap.String("source", name), zap.String("delivery_id", shown(id)), zap.String("reason", safetext.Line(ignored.Reason)))
		return ignore(id, ignored.Reason, "")
	case errors.As(err, &unsure):
		h.log.Warn("delivery cannot be judged now", zap.String("source", name), zap.String("remote", r.RemoteAddr), zap.String("reason", shown(err.Error())))
		return unsureOf(err.Error())
	case errors.As(err, &forbidden):
		h.log.Warn("delivery refused", zap.String("source", name), zap.String("remote", r.RemoteAddr), zap.Int("status", http.StatusForbidden), zap.String("reason", safetext.Line(err.Error())))
		return refuse(http.StatusForbidden, OutcomeForbidden, err.Error())
	case errors.As(err, &unsigned):
		h.log.Warn("delivery refused", zap.String("source", name), zap.String("remote", r.RemoteAddr), zap.Int("status", http.StatusUnauthorized), zap.String("reason", safetext.Line(err.Error())))
		return refuse(http.StatusUnauthorized, OutcomeUnsigned, err.Error())
	case errors.As(err, &fault):
		return refuse(http.StatusInternalServerError, OutcomeFault, "this delivery cannot be decoded because of a fault in Switchyard: see \"source panicked\" in its log")
	}
	a := refuse(http.StatusBadRequest, OutcomeUndecodable, err.Error())
	if errors.As(err, &mediaType) {
		a = refuse(http.StatusUnsupportedMediaType, OutcomeMediaType, err.Error())
	}
	h.log.Warn("delivery refused", zap.String("source", name), zap.String("delivery_id", shown(id)), zap.Int("status", a.status), zap.String("reason", shown(err.Error())))
	return a
}
