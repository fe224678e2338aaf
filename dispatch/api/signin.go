package api

import (
	"crypto/sha256"
	"net/http"
	"time"
)

// SignInLinker makes the address of a page that signs a person in to the dashboard,
// once and until a time, on behalf of whoever has the token with this SHA-256. Its
// error is shown to that one.
type SignInLinker func(token [sha256.Size]byte, person, role string) (link string, until time.Time, err error)

// WithSignIn serves links that sign people in.
func WithSignIn(l SignInLinker) Option { return func(a *API) { a.signIn = l } }

// SignInLink is the answer to a call that makes a link to sign in with.
type SignInLink struct {
	Link  string    `json:"link"`
	For   string    `json:"for"`
	Role  string    `json:"role"`
	Until time.Time `json:"until"`
}

func (a *API) linkSignIn(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "for", "role")
	if err == nil && a.signIn == nil {
		err = &httpError{http.StatusNotFound, "this service has no dashboard to sign in to"}
	}
	l := SignInLink{For: q.Get("for"), Role: q.Get("role")}
	if err == nil && (l.For == "" || len(l.For) > 100) {
		err = badParameter("for is missing, or has more than 100 bytes: the person who signs in, as it is recorded then")
	}
	if l.Role == "" {
		l.Role = "operator"
	}
	if err == nil {
		token, _ := bearer(r) // without one nobody comes here
		if l.Link, l.Until, err = a.signIn(sha256.Sum256([]byte(token)), l.For, l.Role); err != nil {
			err = &httpError{http.StatusBadRequest, err.Error()}
		}
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, l)
}
