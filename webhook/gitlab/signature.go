package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"switchyard/webhook"
)

// The headers that prove a delivery, as [http.Header] spells them. The latter
// three are those of Standard Webhooks.
const (
	headerToken     = "X-Gitlab-Token"
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	// signingPrefix begins a signing token; the key follows in base64.
	signingPrefix = "whsec_"
	// minKey is how many bytes a signing token's key has at least; GitLab makes
	// 32.
	minKey = 16
	// window is how far webhook-timestamp may be from our clock. GitLab makes it
	// anew for each attempt. Standard Webhooks suggests 5 minutes.
	window = 5 * time.Minute
	// maxSignatures bounds how many values of the header are looked at.
	maxSignatures = 10
)

// proof holds deliveries against secrets.
type proof struct {
	// tokens are the SHA-256 of each secret, so that comparing takes the same
	// time whatever its length; keys are those of signing tokens.
	tokens [][sha256.Size]byte
	keys   [][]byte
	now    func() time.Time
}

func newProof(secrets []string) (proof, error) {
	p := proof{now: time.Now}
	if len(secrets) == 0 {
		return p, errors.New("no webhook secret: list at least one under secrets")
	}
	for i, s := range secrets {
		if s == "" {
			return p, fmt.Errorf("secrets[%d] is empty: give it a value or take it out (is its environment variable set?)", i)
		}
		p.tokens = append(p.tokens, sha256.Sum256([]byte(s)))
		encoded, signing := strings.CutPrefix(s, signingPrefix)
		if !signing {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) < minKey {
			return p, fmt.Errorf("secrets: one begins with %s, as signing tokens do, and is none: what follows must be at least %d bytes in base64; copy the whole token from GitLab", signingPrefix, minKey)
		}
		p.keys = append(p.keys, key)
	}
	return p, nil
}

// signed reports whether a delivery is held against its signature.
func (p *proof) signed(h http.Header) bool { return len(p.keys) > 0 && len(h[headerSignature]) > 0 }

func (p *proof) precheck(h http.Header) error {
	if !p.signed(h) {
		return p.token(h)
	}
	if _, err := signatures(h); err != nil {
		return err
	}
	return p.fresh(h)
}

func (p *proof) verify(h http.Header, body []byte) error {
	if !p.signed(h) {
		return p.token(h)
	}
	sums, err := signatures(h)
	if err != nil {
		return err
	}
	equal := 0
	for _, key := range p.keys {
		mac := hmac.New(sha256.New, key)
		for _, text := range []string{h.Get(headerID), ".", h.Get(headerTimestamp), "."} {
			mac.Write([]byte(text))
		}
		mac.Write(body)
		want := mac.Sum(nil)
		for i := range sums {
			equal |= subtle.ConstantTimeCompare(want, sums[i][:])
		}
	}
	if equal != 1 {
		return fmt.Errorf("%w: no configured signing token gives the value of header webhook-signature for this body; check the webhook's signing token at GitLab, and that no proxy changes the body", webhook.ErrSignatureMismatch)
	}
	return p.fresh(h) // told only to who knows the key
}

// token checks the secret token, every secret in turn.
func (p *proof) token(h http.Header) error {
	values := h[headerToken]
	switch {
	case (len(values) == 0 || values[0] == "") && len(h[headerSignature]) > 0:
		return fmt.Errorf("%w: the delivery is signed (header webhook-signature), and Switchyard's configuration has no signing token; add the webhook's, which begins with %s, to secrets", webhook.ErrSignatureMissing, signingPrefix)
	case len(values) == 0 || values[0] == "":
		return fmt.Errorf("%w: neither header X-Gitlab-Token nor webhook-signature is there; set the webhook's secret token or signing token at GitLab to one of those in Switchyard's configuration", webhook.ErrSignatureMissing)
	case len(values) > 1:
		return fmt.Errorf("%w: header X-Gitlab-Token must be one value", webhook.ErrSignatureMalformed)
	}
	given := sha256.Sum256([]byte(values[0]))
	equal := 0
	for i := range p.tokens {
		equal |= subtle.ConstantTimeCompare(given[:], p.tokens[i][:])
	}
	if equal != 1 {
		return fmt.Errorf("%w: header X-Gitlab-Token is none of the configured secrets; check the webhook's secret token at GitLab", webhook.ErrSignatureMismatch)
	}
	return nil
}

// signatures reads the header: values of the form v1,<base64>, separated by
// spaces. Other versions are passed over.
func signatures(h http.Header) ([][sha256.Size]byte, error) {
	malformed := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{webhook.ErrSignatureMalformed}, args...)...)
	}
	for _, name := range []string{headerID, headerTimestamp, headerSignature} {
		if len(h[name]) != 1 || h[name][0] == "" {
			return nil, malformed("header %s must be there once, beside webhook-signature", strings.ToLower(name))
		}
	}
	values := strings.Fields(h[headerSignature][0])
	if len(values) > maxSignatures {
		return nil, malformed("header webhook-signature has %d values, more than %d", len(values), maxSignatures)
	}
	var sums [][sha256.Size]byte
	for _, v := range values {
		encoded, ok := strings.CutPrefix(v, "v1,")
		if !ok {
			continue
		}
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(sum) != sha256.Size {
			return nil, malformed("header webhook-signature must hold v1, and an HMAC-SHA256 in base64")
		}
		sums = append(sums, [sha256.Size]byte(sum))
	}
	if len(sums) == 0 {
		return nil, malformed("header webhook-signature has no value that begins with v1,")
	}
	return sums, nil
}

// fresh refuses what was signed too long ago, or in the future: somebody else
// may send it again.
func (p *proof) fresh(h http.Header) error {
	seconds, err := strconv.ParseInt(h.Get(headerTimestamp), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: header webhook-timestamp must be a Unix time in seconds", webhook.ErrSignatureMalformed)
	}
	now := p.now()
	at := time.Unix(seconds, 0)
	if at.Before(now.Add(-window)) || at.After(now.Add(window)) {
		return fmt.Errorf("%w: header webhook-timestamp is %s, more than %v from this machine's clock, %s; check both clocks, or have GitLab send the delivery again", webhook.ErrSignatureMismatch, at.UTC().Format(time.RFC3339), window, now.UTC().Format(time.RFC3339))
	}
	return nil
}
