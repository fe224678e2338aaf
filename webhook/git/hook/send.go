package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"switchyard/webhook"
	"switchyard/webhook/git"
)

// reply is Switchyard's answer to a delivery.
type reply struct {
	Delivery   string   `json:"delivery"`
	Executions []string `json:"executions"`
	// New is how many of them nobody had asked for before; nil from a version
	// that does not say.
	New     *int   `json:"new"`
	Ignored string `json:"ignored"`
	Note    string `json:"note"`
	URL     string `json:"url"`
	Error   string `json:"error"`
}

// refusedError is an answer that sending again will not change.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("refused with %d: %s", e.status, e.text) }

const maxReply = 4 << 20

// post sends one delivery, signed now: the secret may have changed since it was
// spooled. An error that is no [*refusedError] is worth another attempt.
func (h *Hook) post(ctx context.Context, e entry, body []byte) (reply, error) {
	if h.unsendable != nil {
		return reply{}, h.unsendable
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.target.String(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "switchyard-hook")
	req.Header.Set(git.HeaderDelivery, e.id())
	req.Header.Set(git.HeaderSignature, webhook.Sign(h.cfg.Secret, body))
	resp, err := h.client.Do(req)
	if err != nil {
		var wrapped *url.Error // it repeats the URL, with what it has of credentials
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return reply{}, fmt.Errorf("read the answer: %w", err)
	}
	var r reply
	decoded := json.Unmarshal(text, &r) == nil
	switch s := resp.StatusCode; {
	case s/100 == 2 && decoded && r.Delivery != "":
		return r, nil
	case s/100 == 2, r.Error == "" && isProxys(s):
		return reply{}, fmt.Errorf("it answers %d, but not as Switchyard does: is %s right?", s, keyURL)
	case s/100 == 3:
		return reply{}, fmt.Errorf("it answers %d and leads to %q: set %s to the right address", s, resp.Header.Get("Location"), keyURL)
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s/100 != 4:
		return reply{}, fmt.Errorf("it answers %d %s", s, r.Error)
	}
	if r.Error == "" {
		r.Error = http.StatusText(resp.StatusCode)
	}
	return reply{}, &refusedError{resp.StatusCode, r.Error}
}

// isProxys reports whether a status without Switchyard's words is that of a
// proxy that does not reach Switchyard now, as an ingress answers 404 while what
// is behind it starts anew. Others, such as 413, a proxy would give again, and
// what waits behind the delivery with it.
func isProxys(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	default:
		return false
	}
}

// sent is what became of one delivery.
type sent struct {
	payload git.Payload
	reply   reply
	refused *refusedError
}

// Deliveries of one push to different refs are sent at the same time: so many,
// and so many bytes, at once.
const (
	sendersAtOnce = 8
	bytesAtOnce   = 32 << 20
)

func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = sendersAtOnce
	return t
}

// waitingDelivery is an entry with its body, and then with what became of it.
type waitingDelivery struct {
	entry
	body []byte
	sent
	err error
}

// drain sends what waits, in order, up to and including the entry named last,
// or all of it when last is "". Only one process of a repository sends at a
// time; an error leaves the rest waiting.
func (h *Hook) drain(ctx context.Context, last string, done func(entry, sent)) error {
	unlock, err := h.lock(ctx, "send.lock")
	if err != nil {
		return err
	}
	defer unlock()
	list, err := h.waiting()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(list, func(e entry) bool { return last != "" && e.file > last }); i >= 0 {
		list = list[:i]
	}
	var carried *waitingDelivery
	for len(list) > 0 {
		group, next, err := h.nextGroup(list, carried)
		if err != nil {
			return err
		}
		list, carried = list[len(group):], next
		var g sync.WaitGroup
		for _, d := range group {
			g.Go(func() { d.err = h.send(ctx, d) })
		}
		g.Wait()
		var errs []error
		for _, d := range group {
			if d.err == nil {
				done(d.entry, d.sent)
			} else if len(errs) == 0 || d.err.Error() != errs[0].Error() {
				errs = append(errs, d.err)
			}
		}
		if len(errs) > 0 {
			return errs[0]
		}
	}
	return nil
}

// nextGroup takes from the list what can be sent at the same time: one delivery
// or more, of the same push and to different refs. next is the delivery after
// them where it was read already.
func (h *Hook) nextGroup(list []entry, read *waitingDelivery) (group []*waitingDelivery, next *waitingDelivery, err error) {
	size := 0
	taken := map[string]bool{}
	for _, e := range list[:min(len(list), sendersAtOnce)] {
		d := read
		if read = nil; d == nil {
			if d, err = h.readDelivery(e); err != nil {
				return nil, nil, err
			}
		}
		size += len(d.body)
		if len(group) > 0 && (e.together() != group[0].together() || taken[d.payload.Ref] || size > bytesAtOnce) {
			return group, d, nil
		}
		taken[d.payload.Ref] = true
		group = append(group, d)
	}
	return group, nil, nil
}

func (h *Hook) readDelivery(e entry) (*waitingDelivery, error) {
	body, err := os.ReadFile(filepath.Join(h.spoolDir(), e.file))
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	d := &waitingDelivery{entry: e, body: body}
	// Ours since before it was written; a damaged one will be refused.
	_ = json.Unmarshal(body, &d.payload)
	return d, nil
}

// send sends one delivery, as it is in the spool, and takes it from there.
func (h *Hook) send(ctx context.Context, d *waitingDelivery) (err error) {
	d.reply, err = h.post(ctx, d.entry, d.body)
	h.at("delivery sent")
	if errors.As(err, &d.refused) {
		return h.park(d.entry, d.refused.Error())
	}
	if err != nil {
		return err
	}
	err = os.Remove(filepath.Join(h.spoolDir(), d.file))
	h.at("delivery removed")
	return err
}

// sendOwn sends the deliveries of this push, after whatever waits already, and
// tells the pusher what became of them. It reports whether Switchyard could be
// reached.
func (h *Hook) sendOwn(ctx context.Context, own []entry, say teller) bool {
	left := make(map[string]bool, len(own))
	for _, e := range own {
		left[e.file] = true
	}
	earlier := 0
	tell := h.tellEach(say)
	err := h.drain(ctx, own[len(own)-1].file, func(e entry, s sent) {
		if !left[e.file] {
			earlier++
			return
		}
		delete(left, e.file)
		tell(e, s)
	})
	if earlier > 0 {
		say.line("sent %s that had been waiting", count(earlier, "earlier delivery", "earlier deliveries"))
	}
	switch {
	case err != nil:
		h.tellWaiting(say, err)
	case len(left) > 0:
		say.line("sent together with another push")
	}
	return err == nil
}

func (h *Hook) tellWaiting(say teller, err error) {
	list, _ := h.waiting() // for the message alone
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer in time")
	}
	say.line("cannot deliver to %s now: %v", h.target.Redacted(), err)
	say.line("nothing is lost: %s in %s", count(len(list), "delivery waits", "deliveries wait"), h.spoolDir())
	if err := h.startBackground(); err != nil {
		say.line("no attempt in the background: %v", err)
	}
	say.line("to send what waits: push again, or run: switchyard hook flush")
}

// startBackground starts Config.Background and does not wait for it. It gets no
// standard files, or it would keep the pusher's connection open.
func (h *Hook) startBackground() error {
	if len(h.cfg.Background) == 0 {
		return nil
	}
	cmd := exec.Command(h.cfg.Background[0], h.cfg.Background[1:]...) //nolint:noctx // it outlives every context here
	cmd.Dir = h.cfg.GitDir
	cmd.Env = append(withoutRepository(os.Environ()), "GIT_DIR="+h.cfg.GitDir)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
