// Package payload reads the JSON body of a delivery as far as a source needs it.
package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/sieve"
)

const mediaJSON = "application/json"

// Read decodes into p what kept takes of the body. A body that is said to be
// anything but JSON is a [*webhook.MediaTypeError]; other errors name the member
// that is wrong.
func Read(h http.Header, body []byte, kept *sieve.Sieve, p any) error {
	if contentType := h.Get("Content-Type"); contentType != "" && contentType != mediaJSON {
		if media, _, err := mime.ParseMediaType(contentType); err != nil || media != mediaJSON {
			return &webhook.MediaTypeError{Got: safetext.Cut(safetext.Line(contentType), 80), Want: []string{mediaJSON}}
		}
	}
	sifted, err := kept.Sift(make([]byte, 0, len(body)/2), body)
	if err != nil {
		return err
	}
	if err = json.Unmarshal(sifted, p); err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: a JSON %s, where %s should be", wrong.Field, wrong.Value, wrong.Type.Kind())
	}
	return fmt.Errorf("payload: %w", err)
}
