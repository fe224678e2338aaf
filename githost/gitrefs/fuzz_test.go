package gitrefs_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"switchyard/githost/gitrefs"
)

// says answers whatever is asked of git's protocol with a text of its own.
type says struct{ advertised, listed string }

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	kind, text := "application/x-git-upload-pack-advertisement", s.advertised
	if r.Method == http.MethodPost {
		kind, text = "application/x-git-upload-pack-result", s.listed
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// Whatever a host answers, there are branches with commits, or an error for one line of
// a terminal.
func FuzzList(f *testing.F) {
	const (
		service = "001e# service=git-upload-pack\n0000"
		able    = service + "000eversion 2\n000cls-refs\n0000"
		sha     = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	)
	f.Add(able, "003d"+sha+" refs/heads/main\n0000")
	f.Add(able, "0000")
	f.Add(able, "003d"+sha+" refs/heads/main\n")
	f.Add(able, "0031"+sha+" HEAD\n003cERR no\x1b[2J such\nrepository\n")
	f.Add(service+"000eversion 2\n0000", "")
	f.Add(service+"0046"+sha+" refs/heads/main\x00side-band\n0000", "")
	f.Add("ffff", "0003")
	f.Add("", "zzzz")
	f.Fuzz(func(t *testing.T, advertised, listed string) {
		refs, err := gitrefs.List(t.Context(), says{advertised, listed}, "https://git.example.test/acme/app.git", "", "")
		if err != nil {
			if len(refs) > 0 || strings.ContainsAny(err.Error(), "\x1b\n\r\x00") {
				t.Errorf("%d refs, %q", len(refs), err)
			}
			return
		}
		for ref, sha := range refs {
			if !strings.HasPrefix(ref, "refs/heads/") || len(sha) != 40 && len(sha) != 64 || strings.Trim(sha, "0123456789abcdef") != "" {
				t.Errorf("%q at %q", ref, sha)
			}
		}
	})
}
