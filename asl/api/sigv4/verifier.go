// Package sigv4 verifies requests that are signed with AWS Signature Version 4
// in the Authorization header, as every AWS SDK and the AWS command line sign.
//
// What is checked is what AWS documents under "Create a signed AWS API request":
// the signature covers method, path, query, the signed headers and the body.
// Its errors carry AWS's codes, so that clients treat them as AWS's. A request
// that was listened to can be sent again, unchanged, until its time has passed:
// use TLS where others can read the network.
package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"switchyard/internal/awssign"
)

// Skew is how far the time of a request may be from ours, as at AWS.
const Skew = 15 * time.Minute

// The codes of errors, as AWS's JSON services send them.
const (
	CodeMissing    = "MissingAuthenticationTokenException"
	CodeIncomplete = "IncompleteSignatureException"
	CodeUnknownKey = "UnrecognizedClientException"
	CodeInvalid    = "InvalidSignatureException"
)

// Error says why a request is refused.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// Key is an access key.
type Key struct{ ID, Secret string }

// Config is what a Verifier accepts.
type Config struct {
	// Service is the service's name in a credential scope, such as "states".
	// The region of the scope may be any.
	Service string
	// Keys are at least one, none of them with an empty part.
	Keys []Key
	// KeysAt follows the message about an unknown key, and says where the right
	// one is found; may be "".
	KeysAt string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	cfg     Config
	secrets map[string]string
}

// New returns a Verifier that accepts requests signed with one of the keys.
func New(cfg Config) (*Verifier, error) {
	if cfg.Service == "" {
		return nil, errors.New("sigv4: no service")
	}
	if len(cfg.Keys) == 0 {
		return nil, errors.New("sigv4: no access keys: without one no request could be verified")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{cfg, make(map[string]string, len(cfg.Keys))}
	for i, k := range cfg.Keys {
		if !ValidID(k.ID) {
			return nil, fmt.Errorf("sigv4: keys[%d]: the id %q is not 1 to 128 letters, digits or _", i, k.ID)
		}
		if k.Secret == "" {
			return nil, fmt.Errorf("sigv4: keys[%d]: the secret of %s is empty", i, k.ID)
		}
		if _, twice := v.secrets[k.ID]; twice {
			return nil, fmt.Errorf("sigv4: keys[%d]: the id %s is given twice", i, k.ID)
		}
		v.secrets[k.ID] = k.Secret
	}
	return v, nil
}

// ValidID reports whether an access key's ID can stand in a credential scope.
func ValidID(id string) bool {
	return id != "" && len(id) <= 128 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Precheck refuses what the header alone shows to be wrong, all but the
// signature itself: nobody need read the body of such a request. Its errors are
// of type [*Error].
func (v *Verifier) Precheck(r *http.Request) error {
	_, err := v.read(r)
	return err
}

// Verify checks the request's signature; body is all of its body, and r.Body is
// not looked at. Its errors are of type [*Error].
func (v *Verifier) Verify(r *http.Request, body []byte) error {
	s, err := v.read(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	if said := r.Header.Get(headerPayload); said != "" && said != payload {
		return refuse(CodeInvalid, "The request's body does not have the hash that its header x-amz-content-sha256 says.")
	}
	want := s.sign(v.secrets[s.keyID], canonicalRequest(r, s.signed, payload))
	if subtle.ConstantTimeCompare([]byte(want), []byte(s.signature)) != 1 {
		return refuse(CodeInvalid, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method, and that no proxy changes the request or its Host header.")
	}
	return nil
}

// read takes the signature from the header and checks everything around it.
func (v *Verifier) read(r *http.Request) (*signature, error) {
	s, err := parse(r)
	if err != nil {
		return nil, err
	}
	if len(r.Header.Values(headerToken)) > 0 {
		return nil, refuse(CodeUnknownKey, "The security token included in the request is invalid: there are no temporary credentials here; unset AWS_SESSION_TOKEN and sign with an access key alone.%s", v.hint())
	}
	if _, known := v.secrets[s.keyID]; !known {
		return nil, refuse(CodeUnknownKey, "The security token included in the request is invalid: the access key %q is not known here.%s", s.keyID, v.hint())
	}
	if s.service != v.cfg.Service {
		return nil, refuse(CodeInvalid, "Credential should be scoped to correct service: '%s'.", v.cfg.Service)
	}
	if err := checkSigned(r, s.signed); err != nil {
		return nil, err
	}
	if said := r.Header.Get(headerPayload); said == "UNSIGNED-PAYLOAD" || strings.HasPrefix(said, "STREAMING-") {
		return nil, refuse(CodeInvalid, "The header x-amz-content-sha256 is %s, which leaves the body unsigned; sign it with its SHA-256.", said)
	}
	return s, s.checkTime(v.cfg.Now().UTC())
}

func (v *Verifier) hint() string {
	if v.cfg.KeysAt == "" {
		return ""
	}
	return " " + v.cfg.KeysAt
}

// checkSigned refuses a signature that leaves open what the request is.
func checkSigned(r *http.Request, signed []string) error {
	for i, name := range signed {
		if name == "" || name != strings.ToLower(name) || i > 0 && signed[i-1] >= name {
			return refuse(CodeIncomplete, "SignedHeaders must list names in lower case, sorted, each once.")
		}
		if name != "host" && name != "content-length" && len(r.Header.Values(name)) == 0 {
			return refuse(CodeInvalid, "The header %q is signed but not in the request.", name)
		}
	}
	if !slices.Contains(signed, "host") {
		return refuse(CodeInvalid, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	// The time and the action are among these.
	for name := range r.Header {
		name = strings.ToLower(name)
		if (strings.HasPrefix(name, "x-amz-") || name == "date" && r.Header.Get(headerDate) == "") && !slices.Contains(signed, name) {
			return refuse(CodeInvalid, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// checkTime refuses a request that was not signed just now.
func (s *signature) checkTime(now time.Time) error {
	if s.time.Format(dateFormat) != s.date {
		return refuse(CodeInvalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.", s.date, s.time.Format(dateFormat))
	}
	at, text := now.Format(timeFormat), s.time.Format(timeFormat)
	if s.time.Before(now.Add(-Skew)) {
		return refuse(CodeInvalid, "Signature expired: %s is now earlier than %s (%s - 15 min.)", text, now.Add(-Skew).Format(timeFormat), at)
	}
	if s.time.After(now.Add(Skew)) {
		return refuse(CodeInvalid, "Signature not yet current: %s is still later than %s (%s + 15 min.)", text, now.Add(Skew).Format(timeFormat), at)
	}
	return nil
}

// sign is the signature that the request should have, in hex.
func (s *signature) sign(secret, canonical string) string {
	return awssign.Scope{Time: s.time.Format(timeFormat), Region: s.region, Service: s.service}.Sign(secret, canonical)
}
