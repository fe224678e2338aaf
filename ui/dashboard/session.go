package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Role says what a person may do.
type Role string

// The roles. A viewer reads; an operator acts too.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
)

// Operator reports whether the person may act.
func (s *Session) Operator() bool { return s.Role == Operator }

// sessionTime is how long a person stays signed in.
const sessionTime = 12 * time.Hour

// Session is a person who has signed in. It lives in a signed cookie, so that it
// outlives a restart of the service, and ends when the token is no longer accepted
// that it was made with.
type Session struct {
	By   string `json:"by"`
	Role Role   `json:"role"`
	// ID tells sessions apart; Token is a keyed digest of the API token's.
	ID    string    `json:"id"`
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}

// sign makes a MAC for one purpose, apart from those of other purposes.
func (d *Dashboard) sign(purpose, text string) string {
	mac := hmac.New(sha256.New, d.key)
	fmt.Fprintf(mac, "dashboard\n%s\n%s", purpose, text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// formKey is what a form of a session carries.
func (d *Dashboard) formKey(s *Session) string {
	if s == nil {
		return ""
	}
	return d.sign("form", s.ID)
}

// mark stands for an API token in a session.
func (d *Dashboard) mark(digest [sha256.Size]byte) string { return d.sign("token", string(digest[:])) }

// holds reports whether the token with this mark is still accepted.
func (d *Dashboard) holds(mark string) bool {
	match := 0
	for _, digest := range d.tokens() {
		match |= subtle.ConstantTimeCompare([]byte(d.mark(digest)), []byte(mark))
	}
	return match == 1
}

// cookieName has the prefix with which browsers keep a cookie to this host and to
// HTTPS, where that is how the service is reached.
func (d *Dashboard) cookieName() string {
	if d.secure() {
		return "__Host-switchyard"
	}
	return "switchyard"
}

func (d *Dashboard) secure() bool { return strings.HasPrefix(d.base, "https://") }

func (d *Dashboard) setCookie(w http.ResponseWriter, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookieName(), Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: d.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// begin signs a person in.
func (d *Dashboard) begin(w http.ResponseWriter, by string, role Role, token string) {
	s := Session{By: by, Role: role, ID: rand.Text(), Token: token, Until: d.now().Add(sessionTime)}
	text, _ := json.Marshal(s) // strings and a time always encode
	value := base64.RawURLEncoding.EncodeToString(text)
	d.setCookie(w, value+"."+d.sign("session", value), sessionTime)
}

// session is that of a request, nil for none.
func (d *Dashboard) session(r *http.Request) *Session {
	c, err := r.Cookie(d.cookieName())
	if err != nil {
		return nil
	}
	value, mac, _ := strings.Cut(c.Value, ".")
	if !hmac.Equal([]byte(mac), []byte(d.sign("session", value))) {
		return nil
	}
	var s Session
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(text, &s) != nil {
		return nil
	}
	if !d.now().Before(s.Until) || !d.holds(s.Token) {
		return nil
	}
	return &s
}

// signedIn hands over to those who have signed in, and leads others there. Whether
// there is such a page is told to nobody else.
func (d *Dashboard) signedIn(serve func(http.ResponseWriter, *http.Request, *Session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := d.session(r); s != nil {
			serve(w, r, s)
			return
		}
		if r.Header.Get("Accept") == "text/event-stream" {
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		to := "/sign-in"
		next := r.URL.RequestURI()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next = path.Dir(r.URL.EscapedPath()) // the page that has the button
		}
		if next != "/" {
			to += "?" + url.Values{"next": {next}}.Encode()
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}

// maxForm is the largest form that is read, in bytes.
const maxForm = 16 << 10

// act hands a form over that came from a page of the same session, of somebody with
// the role.
func (d *Dashboard) act(role Role, serve func(http.ResponseWriter, *http.Request, *Session)) http.Handler {
	return d.signedIn(func(w http.ResponseWriter, r *http.Request, s *Session) {
		if !d.readForm(w, r) {
			d.tell(w, s, http.StatusBadRequest, "The form cannot be read; go back and try again.")
			return
		}
		if d.origin.Check(r) != nil || !hmac.Equal([]byte(r.PostForm.Get("form")), []byte(d.formKey(s))) {
			d.tell(w, s, http.StatusForbidden, "The form did not come from a page of this session, so nothing was done. Load the page again and try once more.")
			return
		}
		if role == Operator && !s.Operator() {
			d.tell(w, s, http.StatusForbidden, "You are signed in as a viewer, who can only read. Sign in with a token of server.api_tokens to act.")
			return
		}
		serve(w, r, s)
	})
}

func (d *Dashboard) readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return r.ParseForm() == nil
}
