package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"switchyard/internal/safetext"
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
	for _, e := range list {
		if last != "" && e.file > last {
			break
		}
		path := filepath.Join(h.spoolDir(), e.file)
		body, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		var s sent
		// Ours since before it was written; a damaged one is refused below.
		_ = json.Unmarshal(body, &s.payload)
		s.reply, err = h.post(ctx, e, body)
		if errors.As(err, &s.refused) {
			err = h.park(e, s.refused.Error())
		} else if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
		done(e, s)
	}
	return nil
}

// sendOwn sends the deliveries of this push, after whatever waits already, and
// tells the pusher what became of them.
func (h *Hook) sendOwn(ctx context.Context, own []entry, say teller) {
	left := make(map[string]bool, len(own))
	for _, e := range own {
		left[e.file] = true
	}
	earlier := 0
	err := h.drain(ctx, own[len(own)-1].file, func(e entry, s sent) {
		if !left[e.file] {
			earlier++
			return
		}
		delete(left, e.file)
		h.tell(say, s)
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
	say.line("they go out with the next push, or with: switchyard hook flush")
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

const (
	shownNames = 5
	shownRunes = 72
)

// tell says in a line or a few what one delivery came to.
func (h *Hook) tell(say teller, s sent) {
	branch := strings.TrimPrefix(s.payload.Ref, branchPrefix)
	switch {
	case s.refused != nil:
		say.line("%s: refused with %d: %s", branch, s.refused.status, safetext.Cut(s.refused.text, 300))
		say.line("kept in %s; once that is repaired: switchyard hook flush --failed", h.failedDir())
		return
	case s.reply.Ignored != "":
		say.line("%s: nothing to start: %s", branch, safetext.Cut(s.reply.Ignored, 300))
		return
	case isZero(s.payload.After):
		say.line("%s deleted: %s", branch, s.reply.started())
	default:
		say.line("%s: %s, %s", branch, count(len(s.payload.Commits), "commit", "commits"), s.reply.started())
	}
	for i, name := range s.reply.Executions {
		if i == shownNames && len(s.reply.Executions) > shownNames+1 {
			say.line("  … and %d more", len(s.reply.Executions)-shownNames)
			break
		}
		say.line("  %s", safetext.Cut(name, shownRunes))
	}
	if s.reply.URL != "" {
		say.line("  %s", safetext.Cut(s.reply.URL, 300))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Flush sends what waits in the spool, and with failed set also what was
// refused before, and tells out about each. While Switchyard cannot be reached
// it tries again until patience is over: after one second, then after twice as
// long each time, up to 30 s. With patience, only one process of a repository
// flushes; another one returns nil at once. An error means that deliveries are
// still waiting.
func (h *Hook) Flush(ctx context.Context, out io.Writer, failed bool, patience time.Duration) error {
	if err := h.makeDirs(); err != nil {
		return err
	}
	if patience > 0 {
		unlock, err := h.tryLock("flush.lock")
		if err != nil || unlock == nil {
			return err
		}
		defer unlock()
	}
	if failed {
		if err := h.unpark(); err != nil {
			return err
		}
	}
	say := teller{out}
	deadline := time.Now().Add(patience)
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := h.drain(ctx, "", func(_ entry, s sent) { h.tell(say, s) })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Until(deadline) < wait {
			return fmt.Errorf("deliver to %s: %w", h.target.Redacted(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		if _, gone := os.Stat(h.cfg.GitDir); errors.Is(gone, fs.ErrNotExist) {
			return fmt.Errorf("repository %s is gone, and what waited there with it", h.cfg.GitDir)
		}
	}
}

// Waiting counts the deliveries in the spool and those put aside as refused.
func (h *Hook) Waiting() (spooled, failed int, err error) {
	w, err := h.waiting()
	if err != nil {
		return 0, 0, err
	}
	f, err := listEntries(h.failedDir())
	return len(w), len(f), err
}
