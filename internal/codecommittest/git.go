package codecommittest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// GitHost is the host of clone URLs for which passwords are made.
const GitHost = "git-codecommit." + Region + ".amazonaws.com"

// serveGit serves fetches of those who sign in as the credential helper of the
// AWS command line does.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	repo := s.repos[r.PathValue("name")]
	s.mu.Unlock()
	user, password, ok := r.BasicAuth()
	user, _, _ = strings.Cut(user, "%") // a session token may follow
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="CodeCommit"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case user != AccessKey || !signed(r.PathValue("name"), password, time.Now()):
		w.WriteHeader(http.StatusForbidden)
		return
	case repo == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	repo.Serve(w, r, r.PathValue("rest"))
}

// signed reports whether a password is the one of the clone URL of a repository
// at [GitHost], and was made in the last 15 minutes.
func signed(name, password string, now time.Time) bool {
	stamp, signature, ok := strings.Cut(password, "Z")
	made, err := time.Parse("20060102T150405", stamp)
	if !ok || err != nil || now.Sub(made).Abs() > 15*time.Minute {
		return false
	}
	sum := sha256.Sum256([]byte("GIT\n/v1/repos/" + name + "\n\nhost:" + GitHost + "\n\nhost\n"))
	scope := stamp[:8] + "/" + Region + "/codecommit/aws4_request"
	key := []byte("AWS4" + SecretKey)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(sum[:])) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hmac.Equal([]byte(signature), []byte(hex.EncodeToString(key)))
}
