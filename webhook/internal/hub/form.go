package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"switchyard/internal/safetext"
	"switchyard/webhook"
)

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

// media is the media type of a delivery; one without a Content-Type is JSON.
func media(h http.Header) (string, error) {
	contentType := h.Get("Content-Type")
	if contentType == "" || contentType == mediaJSON {
		return mediaJSON, nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != mediaJSON && media != mediaForm {
		return "", &webhook.MediaTypeError{Got: safetext.Cut(safetext.Line(contentType), 80), Want: []string{mediaJSON, mediaForm}}
	}
	return media, nil
}

// IsForm reports whether a delivery's body is a form with the field payload.
func IsForm(h http.Header) bool {
	m, err := media(h)
	return err == nil && m == mediaForm
}

// payload is the JSON text of a delivery, in either form that a webhook can be
// set up to send.
func payload(h http.Header, body []byte) ([]byte, error) {
	m, err := media(h)
	if err != nil || m == mediaJSON {
		return body, err
	}
	escaped, err := formPayload(body)
	if err != nil {
		return nil, err
	}
	text := bytes.NewBuffer(make([]byte, 0, len(escaped)))
	err = unescapeTo(text, escaped)
	return text.Bytes(), err
}

// PayloadTo returns what writes the JSON text of a form, a few kilobytes at a
// time, so that what a stranger sends takes no further memory.
func PayloadTo(body []byte) (write func(io.Writer) error, err error) {
	escaped, err := formPayload(body)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return unescapeTo(w, escaped) }, nil
}

// formPayload is the value of a form's only field payload, as it is escaped.
// Parsers differ about which of two counts, and about semicolons.
func formPayload(body []byte) (escaped []byte, err error) {
	switch {
	case len(body) > 0 && (body[0] == '{' || body[0] == '['):
		return nil, fmt.Errorf("form body: it is JSON, while Content-Type is %s; have the sender say %s", mediaForm, mediaJSON)
	case bytes.IndexByte(body, ';') >= 0:
		return nil, errors.New("form body: a semicolon that is not escaped")
	}
	found := 0
	for field := range bytes.SplitSeq(body, []byte{'&'}) {
		key, value, _ := bytes.Cut(field, []byte{'='})
		if len(key) > 64 {
			continue
		}
		name, err := url.QueryUnescape(string(key))
		if err != nil {
			return nil, fmt.Errorf("form body: %w", err)
		}
		if name == "payload" {
			escaped = value
			found++
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("form body: %d fields named payload, where one should be", found)
	}
	return escaped, nil
}

// unescapeTo writes a form's value to w without its escapes, a few kilobytes
// at a time.
func unescapeTo(w io.Writer, escaped []byte) error {
	var piece [4096]byte
	n := 0
	for i := 0; i < len(escaped); i++ {
		b := escaped[i]
		switch b {
		case '+':
			b = ' '
		case '%':
			if i+2 >= len(escaped) || !isHex(escaped[i+1]) || !isHex(escaped[i+2]) {
				return fmt.Errorf("form body: a bad escape at byte %d of payload", i)
			}
			b = unhex(escaped[i+1])<<4 | unhex(escaped[i+2])
			i += 2
		}
		piece[n] = b
		if n++; n == len(piece) {
			if _, err := w.Write(piece[:]); err != nil {
				return err
			}
			n = 0
		}
	}
	_, err := w.Write(piece[:n])
	return err
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func unhex(b byte) byte {
	switch {
	case b >= 'a':
		return b - 'a' + 10
	case b >= 'A':
		return b - 'A' + 10
	}
	return b - '0'
}
