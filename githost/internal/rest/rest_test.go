package rest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
)

func client(t *testing.T, h http.HandlerFunc, change func(*Config)) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg := Config{Name: "host", Source: "mine", BaseURL: s.URL + "/api/", Token: "secret", Needs: "read"}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestCredentialsGoToTheAPIAlone(t *testing.T) {
	for name, change := range map[string]func(*Config){"Bearer secret": nil, "Basic YWRhOnNlY3JldA==": func(c *Config) { c.User = "ada" }} {
		var got []string
		c, s := client(t, func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		}, change)
		if _, err := c.Do(t.Context(), Call{Path: Path("a/b", "ü?"), Query: url.Values{"q": {"a&b"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), Call{URL: s.URL + "/api/next?page=2", Method: http.MethodPost}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0] != "GET /api/a%2Fb/%C3%BC%3F?q=a%26b "+name || got[1] != "POST /api/next?page=2 "+name {
			t.Error(got)
		}
		for _, elsewhere := range []string{"http://evil.example/api/x", s.URL + "/apiary", s.URL, strings.Replace(s.URL, "http://", "https://", 1) + "/api/x", strings.Replace(s.URL, "http://", "http://u:p@", 1) + "/api/x"} {
			if _, err := c.Do(t.Context(), Call{URL: elsewhere}); err == nil {
				t.Errorf("%s was asked", elsewhere)
			}
		}
		if len(got) != 2 {
			t.Error(got)
		}
	}
}

func TestRedirectsStayWithinTheAPI(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/within":
			http.Redirect(w, r, "/api/there", http.StatusFound)
		case "/api/out":
			http.Redirect(w, r, other.URL+"/api/there", http.StatusFound)
		case "/api/round":
			http.Redirect(w, r, "/api/round", http.StatusFound)
		case "/api/there":
			if r.Header.Get("Authorization") == "" {
				t.Error("no credentials")
			}
		}
	}, nil)
	for path, ok := range map[string]bool{"/within": true, "/out": false, "/round": false} {
		if _, err := c.Do(t.Context(), Call{Path: path}); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestVerdicts(t *testing.T) {
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		code   int
		header map[string]string
		body   string
		says   string
		cannot bool
		final  bool
		after  time.Duration
	}{
		"too many":               {code: 429, header: map[string]string{"Retry-After": "17"}, after: 17 * time.Second},
		"too many, no word":      {code: 429, after: -1},
		"too many, a date":       {code: 429, header: map[string]string{"Retry-After": "Thu, 26 Nov 2026 08:00:30 GMT", "Date": "Thu, 26 Nov 2026 08:00:10 GMT"}, after: 21 * time.Second},
		"busy":                   {code: 503, header: map[string]string{"Retry-After": "3"}, after: 3 * time.Second},
		"down":                   {code: 503},
		"bad gateway":            {code: 502, body: "<html>\x1b[31mno</html>", says: "502 Bad Gateway"},
		"unknown token":          {code: 401, cannot: true, says: "sources.mine.token"},
		"forbidden":              {code: 403, body: `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes.","detail":{"required":["repository"]}}}`, cannot: true, says: "needs read"},
		"known, and not allowed": {code: 401, body: `{"errors":[{"message":"You are not permitted to access this resource","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}`, cannot: true, says: "needs read"},
		"not found":              {code: 404, body: `{"errors":[{"context":null,"message":"Commit 'x' does not exist","exceptionName":"e"}]}`, final: true, says: "Commit 'x' does not exist"},
		"invalid":                {code: 400, body: `{"type":"error","error":{"message":"Bad request","detail":"key too long"}}`, final: true, says: "Bad request: key too long"},
		"conflict":               {code: 409, final: true},
		"not JSON":               {code: 200, body: "<html>", says: "not what the API documents"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range row.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(row.code)
				_, _ = w.Write([]byte(row.body))
			}, func(c *Config) { c.Now = func() time.Time { return now } })
			var into struct{}
			_, err := c.Do(t.Context(), Call{Path: "/x", Into: &into})
			err = c.Verdict(t.Context(), "read x", "acme/app", "", err)
			var throttled *dispatch.ThrottledError
			if errors.As(err, &throttled) != (row.after != 0) || throttled != nil && throttled.After != max(row.after, 0) {
				t.Errorf("%v, throttled %+v", err, throttled)
			}
			if errors.Is(err, dispatch.ErrCannotAsk) != row.cannot || errors.As(err, new(*dispatch.PermanentError)) != row.final || !strings.Contains(err.Error(), row.says) || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%T %v", err, err)
			}
			if errors.As(err, new(*StatusError)) {
				t.Error("the answer's type gets out")
			}
		})
	}
	c, _ := client(t, func(http.ResponseWriter, *http.Request) {}, nil)
	if err := c.Verdict(t.Context(), "x", "y", "", nil); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(ended, Call{Path: "/x"}); !errors.Is(c.Verdict(ended, "x", "y", "", err), context.Canceled) {
		t.Error(err)
	}
}

func TestNewRefusesWhatCannotBeCalled(t *testing.T) {
	for _, cfg := range []Config{{Token: "t"}, {Token: "t", BaseURL: "ftp://x"}, {Token: "t", BaseURL: "https://u:p@x"}, {Token: "t", BaseURL: "https://x?y"}, {BaseURL: "https://x"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v passed", cfg)
		}
	}
}
