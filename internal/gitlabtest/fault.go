package gitlabtest

import (
	"fmt"
	"net/http"
)

// Answer is one that a test makes up.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Intercept has each call looked at once it was found to be one of GitLab's. An answer
// takes the place of the stand-in's. Nil ends that. It is not to call the stand-in.
func (s *Server) Intercept(f func(method, path string) *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// intercepted is called with the lock held.
func (c *call) intercepted() bool {
	if c.fault != nil {
		c.madeUp = c.fault(c.r.Method, c.r.URL.EscapedPath())
	}
	return c.madeUp != nil
}

func (a *Answer) write(w http.ResponseWriter) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	fmt.Fprint(w, a.Body)
}
