package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What can be wrong with a signature. The texts that [HMAC.Verify] returns add
// the header's name and the fix; none says which secret was tried.
var (
	ErrSignatureMissing   = errors.New("signature missing")
	ErrSignatureMalformed = errors.New("signature malformed")
	ErrSignatureMismatch  = errors.New("signature does not match")
)

const signaturePrefix = "sha256="

// HMAC verifies deliveries signed as GitHub signs them: a header that holds
// "sha256=" and the hex HMAC-SHA256 of the raw body. Several secrets are
// accepted, so that one can be rotated out while both are in use. It is safe
// for concurrent use.
type HMAC struct {
	header  string
	secrets [][]byte
}

// NewHMAC reads signatures from the given header. No secret, or an empty one,
// is an error: there is no way to turn verification off.
func NewHMAC(header string, secrets []string) (*HMAC, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no webhook secret: list at least one under secrets")
	}
	v := &HMAC{header: http.CanonicalHeaderKey(header)}
	for i, s := range secrets {
		if s == "" {
			return nil, fmt.Errorf("secrets[%d] is empty: give it a value or take it out (is its environment variable set?)", i)
		}
		v.secrets = append(v.secrets, []byte(s))
	}
	return v, nil
}

// Verify reports whether one of the secrets signed the body. Its error wraps
// one of the Err values above. The comparison takes the same time wherever the
// first difference is, and every secret is tried.
func (v *HMAC) Verify(h http.Header, body []byte) error {
	values := h[v.header]
	if len(values) == 0 || values[0] == "" {
		return fmt.Errorf("%w: header %s is not there; set the webhook's secret at the git host to one of those in Switchyard's configuration", ErrSignatureMissing, v.header)
	}
	var want, got [sha256.Size]byte
	digits, ok := strings.CutPrefix(values[0], signaturePrefix)
	if !ok || len(values) > 1 || len(digits) != hex.EncodedLen(len(want)) {
		return v.malformed()
	}
	if _, err := hex.Decode(want[:], []byte(digits)); err != nil {
		return v.malformed()
	}
	equal := 0
	for _, secret := range v.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		equal |= subtle.ConstantTimeCompare(mac.Sum(got[:0]), want[:])
	}
	if equal != 1 {
		return fmt.Errorf("%w: no configured secret gives the value of header %s for this body; check the webhook's secret at the git host, and that no proxy changes the body", ErrSignatureMismatch, v.header)
	}
	return nil
}

func (v *HMAC) malformed() error {
	return fmt.Errorf("%w: header %s must be one value, %q and 64 hex digits", ErrSignatureMalformed, v.header, signaturePrefix)
}

// Sign is the header value that [HMAC.Verify] accepts for the body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}
