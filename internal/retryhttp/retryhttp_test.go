package retryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/internal/retryhttp"
)

// answers gives one after another: a status, or an error for 0. Of 1503 the
// answer is a 503 that says when to come again.
type answers struct {
	given []int
	made  int
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	status := a.given[min(a.made, len(a.given)-1)]
	a.made++
	if status == 0 {
		return nil, errors.New("reset")
	}
	h := http.Header{}
	if status > 1000 {
		status -= 1000
		h.Set("Retry-After", "60")
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("body"))}, nil
}

func TestWhatReadsIsAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		given  []int
		made   int
		status int
	}{
		"well":             {"GET", []int{200}, 1, 200},
		"after failures":   {"GET", []int{502, 0, 500, 200}, 4, 200},
		"the caller's":     {"GET", []int{404}, 1, 404},
		"limited":          {"GET", []int{429}, 1, 429},
		"told when":        {"GET", []int{1503}, 1, 503},
		"again and again":  {"GET", []int{503}, 6, 503},
		"what writes":      {"POST", []int{502, 200}, 1, 502},
		"no answer at all": {"HEAD", []int{0}, 6, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &answers{given: c.given}
			r, _ := http.NewRequestWithContext(t.Context(), c.method, "http://host.test/", http.NoBody)
			response, err := retryhttp.Transport{Next: a}.RoundTrip(r)
			status := 0
			if err == nil {
				status = response.StatusCode
				response.Body.Close()
			}
			if a.made != c.made || status != c.status {
				t.Errorf("%s: %d tries and %d, expected %d and %d", name, a.made, status, c.made, c.status)
			}
		})
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://host.test/", http.NoBody)
		if response, err := (retryhttp.Transport{Next: &answers{given: []int{500}}}).RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(response, err)
		}
	})
}
