package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	bare    []string
	secrets [][]byte
}

// NewHMAC reads signatures from the given header or, where that is not there,
// from the first of the bare ones that is: those hold the hex digits without a
// prefix. No secret, or an empty one, is an error: there is no way to turn
// verification off.
func NewHMAC(header string, secrets []string, bare ...string) (*HMAC, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no webhook secret: list at least one under secrets")
	}
	v := &HMAC{header: http.CanonicalHeaderKey(header)}
	for _, name := range bare {
		v.bare = append(v.bare, http.CanonicalHeaderKey(name))
	}
	for i, s := range secrets {
		if s == "" {
			return nil, fmt.Errorf("secrets[%d] is empty: give it a value or take it out (is its environment variable set?)", i)
		}
		v.secrets = append(v.secrets, []byte(s))
	}
	return v, nil
}

// Precheck reports what is wrong with the signature as far as the header alone
// tells: that there is none, or that it is malformed. Its error is the one that
// Verify would return.
func (v *HMAC) Precheck(h http.Header) error {
	_, _, err := v.signature(h)
	return err
}

// Verify reports whether one of the secrets signed the body. Its error wraps
// one of the Err values above. The comparison takes the same time wherever the
// first difference is, and every secret is tried.
func (v *HMAC) Verify(h http.Header, body []byte) error {
	return v.VerifyText(h, func(w io.Writer) error {
		_, err := w.Write(body) // a hash takes everything
		return err
	})
}

// VerifyText is Verify for a text that is not at hand in one piece: write is
// called once for each secret, and an error of it is returned as it is.
func (v *HMAC) VerifyText(h http.Header, write func(io.Writer) error) error {
	want, header, err := v.signature(h)
	if err != nil {
		return err
	}
	var got [sha256.Size]byte
	equal := 0
	for _, secret := range v.secrets {
		mac := hmac.New(sha256.New, secret)
		if err := write(mac); err != nil {
			return err
		}
		equal |= subtle.ConstantTimeCompare(mac.Sum(got[:0]), want[:])
	}
	if equal != 1 {
		return fmt.Errorf("%w: no configured secret gives the value of header %s for this body; check the webhook's secret at the git host, and that no proxy changes the body", ErrSignatureMismatch, header)
	}
	return nil
}

// signature is what the header says, and which header that is.
func (v *HMAC) signature(h http.Header) (sum [sha256.Size]byte, header string, err error) {
	header, prefix := v.header, signaturePrefix
	values := h[header]
	for _, name := range v.bare {
		if len(values) > 0 && values[0] != "" {
			break
		}
		if given := h[name]; len(given) > 0 && given[0] != "" {
			header, prefix, values = name, "", given
		}
	}
	if len(values) == 0 || values[0] == "" {
		return sum, header, fmt.Errorf("%w: header %s is not there; set the webhook's secret at the git host to one of those in Switchyard's configuration", ErrSignatureMissing, v.header)
	}
	digits, ok := strings.CutPrefix(values[0], prefix)
	if ok && digits == "" && len(values) == 1 {
		return sum, header, fmt.Errorf("%w: header %s is there without one, as it is from a webhook that has no secret; set the webhook's secret at the git host to one of those in Switchyard's configuration", ErrSignatureMissing, header)
	}
	if ok = ok && len(values) == 1 && len(digits) == hex.EncodedLen(len(sum)); ok {
		_, err := hex.Decode(sum[:], []byte(digits))
		ok = err == nil
	}
	if !ok {
		form := "64 hex digits"
		if prefix != "" {
			form = fmt.Sprintf("%q and 64 hex digits", prefix)
		}
		return sum, header, fmt.Errorf("%w: header %s must be one value, %s", ErrSignatureMalformed, header, form)
	}
	return sum, header, nil
}

// Sign is the header value that [HMAC.Verify] accepts for the body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}
