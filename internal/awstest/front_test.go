//go:build unix

package awstest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestFrontAsksAgainWhereTheServerHangsUp(t *testing.T) {
	var calls atomic.Int64
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		switch calls.Add(1) % 3 {
		case 1: // in the middle of an answer
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "ha")
			panic(http.ErrAbortHandler)
		case 2: // before it
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.Method+" "+r.Host+" "+string(sent))
	}))
	defer behind.Close()
	at := front(t, behind.URL)
	host := strings.TrimPrefix(at, "http://")
	for want, body := range map[string]io.Reader{"POST " + host + " once": strings.NewReader("once"), "GET " + host + " ": nil} {
		method, _, _ := strings.Cut(want, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, at, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%q, %v; expected %q", got, err, want)
		}
	}
}
