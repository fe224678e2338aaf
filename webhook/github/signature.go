package github

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"switchyard/webhook"
)

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return explainSHA1(h, s.hmac.Precheck(h)) }

// Verify checks the signature over the raw body or, of a form, over the JSON in
// its field payload: GitHub signs what it sends, Gitea and its kin sign the
// JSON in both of a webhook's content types. Either way it is an HMAC with the
// secret, and over just the text that Decode reads.
func (s *Source) Verify(h http.Header, body []byte) error {
	err := s.hmac.Verify(h, body)
	if !errors.Is(err, webhook.ErrSignatureMismatch) || !isForm(h) {
		return explainSHA1(h, err)
	}
	escaped, formErr := formPayload(body)
	if formErr != nil {
		return err
	}
	// Unescaped piece by piece: what a stranger sends takes no further memory.
	if again := s.hmac.VerifyText(h, func(w io.Writer) error { return unescapeTo(w, escaped) }); again == nil {
		return nil
	}
	return err
}

// explainSHA1 says what to do to a sender that has a secret but signs in the
// old way, where the usual advice leads nowhere.
func explainSHA1(h http.Header, err error) error {
	if !errors.Is(err, webhook.ErrSignatureMissing) || !strings.HasPrefix(h.Get(headerSHA1), "sha1=") || len(h.Get(headerSHA1)) == len("sha1=") {
		return err
	}
	return fmt.Errorf("%w: header X-Hub-Signature (SHA-1) is there and not accepted, since SHA-1 is too weak; have the sender send X-Hub-Signature-256 too, as GitHub and GitHub Enterprise Server 3.0 and later do, and see that no proxy drops that header", webhook.ErrSignatureMissing)
}
