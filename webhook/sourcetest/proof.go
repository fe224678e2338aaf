package sourcetest

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// push is the delivery that the rest of the suite varies.
func (h *Host) push(t *testing.T) Delivery {
	t.Helper()
	d, ok := h.Deliveries[Push]
	if !ok {
		t.Fatal("needs the delivery of Push")
	}
	return d
}

// proof holds that nothing passes that the host did not sign.
func (h *Host) proof(t *testing.T) {
	d := h.push(t)
	for name, change := range map[string]func(value string) string{
		"another last character":  func(v string) string { return v[:len(v)-1] + other(v[len(v)-1:]) },
		"another first character": func(v string) string { return other(v[:1]) + v[1:] },
		"cut short":               func(v string) string { return v[:len(v)-1] },
		"longer":                  func(v string) string { return v + "0" },
		"empty":                   func(string) string { return "" },
		"blank":                   func(string) string { return " " },
		"a word":                  func(string) string { return "null" },
	} {
		t.Run(name, func(t *testing.T) {
			header := d.Header.Clone()
			for _, p := range h.Proof {
				if v := header.Get(p); v != "" {
					header.Set(p, change(v))
				}
			}
			if err := h.Source.Verify(header, d.Body); err == nil {
				t.Errorf("passes with %v", only(header, h.Proof))
			} else {
				h.checkRefusal(t, d.Header, err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		header := d.Header.Clone()
		for _, p := range h.Proof {
			header.Del(p)
		}
		err := h.Source.Verify(header, d.Body)
		if err == nil {
			t.Fatal("passes without any proof")
		}
		h.checkRefusal(t, d.Header, err)
		if p, ok := h.Source.(webhook.Prechecker); ok && p.Precheck(header) == nil {
			t.Error("its body would be read, though the header alone tells that it is refused")
		}
	})
	t.Run("a changed body", func(t *testing.T) {
		if h.ProofWithoutBody != "" {
			t.Skip("not of this host: " + h.ProofWithoutBody)
		}
		for _, at := range []int{0, len(d.Body) / 3, len(d.Body) / 2, len(d.Body) - 1} {
			body := bytes.Clone(d.Body)
			body[at] ^= 1
			if h.Source.Verify(d.Header, body) == nil {
				t.Errorf("passes with byte %d changed", at)
			}
		}
		for name, body := range map[string][]byte{"a byte more": append(bytes.Clone(d.Body), ' '), "a byte less": d.Body[:len(d.Body)-1], "nothing": nil} {
			if h.Source.Verify(d.Header, body) == nil {
				t.Errorf("passes with %s", name)
			}
		}
	})
}

// checkRefusal holds that the text of a refusal, which anybody is told, holds
// nothing that proves a delivery.
func (h *Host) checkRefusal(t *testing.T, genuine http.Header, err error) {
	t.Helper()
	for _, p := range h.Proof {
		if v := genuine.Get(p); v != "" && strings.Contains(err.Error(), v) {
			t.Errorf("the refusal tells the value of %s", p)
		}
	}
}

// other is a character of the same kind.
func other(s string) string {
	if s == "1" || s == "b" {
		return "2"
	}
	if s[0] >= '0' && s[0] <= '9' {
		return "1"
	}
	return "b"
}

func only(header http.Header, names []string) http.Header {
	some := http.Header{}
	for _, n := range names {
		some[n] = header.Values(n)
	}
	return some
}

// sentTwice holds that the same call is the same delivery, and that another is
// not.
func (h *Host) sentTwice(t *testing.T) {
	d := h.push(t)
	first, second := h.decode(t, d), h.decode(t, d)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same delivery becomes another event (-first +second):\n%s", diff)
	}
	seen := map[string]Case{first[0].DeliveryID: Push}
	for _, c := range []Case{NewBranch, ForcedPush, BranchDeleted, Tag, PullRequestOpened} {
		other, sent := h.Deliveries[c]
		if !sent {
			continue
		}
		id := h.decode(t, other)[0].DeliveryID
		if was, taken := seen[id]; taken {
			t.Errorf("%s has the delivery ID %q, as %s has", c, id, was)
		}
		seen[id] = c
	}
}

// checkRedelivery holds what comes again against the delivery of Push.
func (h *Host) checkRedelivery(t *testing.T, again []event.Event) {
	t.Helper()
	if diff := cmp.Diff(h.decode(t, h.push(t)), again); diff != "" {
		t.Errorf("sent again, it is another event (-first +again):\n%s", diff)
	}
}

func (h *Host) decode(t *testing.T, d Delivery) []event.Event {
	t.Helper()
	evs, err := webhook.DecodeAll(h.Source, d.Header, d.Body)
	var ignored *webhook.Ignored
	if err != nil && !errors.As(err, &ignored) {
		t.Fatal(err)
	}
	if len(evs) == 0 {
		t.Fatal("no event")
	}
	return evs
}
