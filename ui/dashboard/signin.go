package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/safetext"
)

const (
	// linkTime is how long a link can be used that signs somebody in.
	linkTime = 10 * time.Minute
	// maxLinks is how many such links there are at a time.
	maxLinks = 1000
	// maxName is the longest name of a person, in bytes.
	maxName = 100
)

// links are those that sign people in, each once. They are kept by a digest, and
// forgotten by a restart.
type links struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]link
}

type link struct {
	by    string
	role  Role
	token string
	until time.Time
}

func digestOf(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

func (l *links) add(secret string, to link, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, other := range l.all {
		if !now.Before(other.until) {
			delete(l.all, k)
		}
	}
	if l.all == nil {
		l.all = map[[sha256.Size]byte]link{}
	}
	if len(l.all) >= maxLinks {
		return false
	}
	l.all[digestOf(secret)] = to
	return true
}

// find returns a link that can be used, and takes it away where use is true.
func (l *links) find(secret string, now time.Time, use bool) (link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := digestOf(secret)
	found, ok := l.all[key]
	if use {
		delete(l.all, key)
	}
	return found, ok && now.Before(found.until)
}

// SignInLink makes the address of a page that signs a person in, once, on behalf of
// whoever has the API token with this digest. Following it is not enough: programs
// follow links, and only the button on the page signs in.
func (d *Dashboard) SignInLink(token [sha256.Size]byte, person, role string) (address string, until time.Time, err error) {
	if role != string(Viewer) && role != string(Operator) {
		return "", time.Time{}, errors.New("role is viewer or operator")
	}
	secret := rand.Text()
	until = d.now().Add(linkTime).Truncate(time.Second).UTC()
	if !d.links.add(secret, link{person, Role(role), d.mark(token), until}, d.now()) {
		return "", time.Time{}, errors.New("there are too many links that nobody has used yet; wait ten minutes")
	}
	return d.base + "/sign-in?link=" + secret, until, nil
}

// signInPage asks for a token, or for the press of a button.
type signInPage struct {
	page
	Next, Link string
	// By is who the link is for, with which role.
	By      string
	Role    Role
	Problem string
}

// ownPath is where a person goes after signing in: never to another host.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (d *Dashboard) showSignIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	next, secret := ownPath(q.Get("next")), q.Get("link")
	if d.session(r) != nil && secret == "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	p := signInPage{page: page{Title: "Sign in"}, Next: next}
	status := http.StatusOK
	if secret != "" {
		if l, ok := d.links.find(secret, d.now(), false); ok && d.holds(l.token) {
			p.Link, p.By, p.Role = secret, l.by, l.role
		} else {
			status, p.Problem = http.StatusNotFound, linkSpent
		}
	}
	d.show(w, status, "sign-in.html", p)
}

const linkSpent = "This link was used already, or has expired. Have another one made: switchyard open"

func (d *Dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	p := signInPage{page: page{Title: "Sign in"}, Next: "/"}
	refuse := func(status int, problem string) {
		p.Problem = problem
		d.show(w, status, "sign-in.html", p)
	}
	if !d.readForm(w, r) {
		refuse(http.StatusBadRequest, "The form cannot be read; try again.")
		return
	}
	form := r.PostForm
	p.Next = ownPath(form.Get("next"))
	if d.origin.Check(r) != nil {
		refuse(http.StatusForbidden, "The form did not come from this page; try again.")
		return
	}
	var to link
	way := "token"
	if secret := form.Get("link"); secret != "" {
		var ok bool
		if to, ok = d.links.find(secret, d.now(), true); !ok || !d.holds(to.token) {
			refuse(http.StatusNotFound, linkSpent)
			return
		}
		way = "link"
	} else {
		digest := digestOf(strings.TrimSpace(form.Get("token")))
		to = link{by: strings.TrimSpace(form.Get("by")), role: Operator, token: d.mark(digest)}
		switch {
		case to.by == "" || len(to.by) > maxName:
			refuse(http.StatusForbidden, "Say who you are, in at most 100 letters: what you do here is recorded under this name.")
			return
		case !d.holds(to.token):
			d.log.Warn("sign-in refused", zap.String("by", safetext.Line(to.by)))
			refuse(http.StatusForbidden, "This is none of the tokens in server.api_tokens.")
			return
		}
	}
	d.begin(w, to.by, to.role, to.token)
	d.log.Info("signed in", zap.String("by", safetext.Line(to.by)), zap.String("role", string(to.role)), zap.String("way", way))
	http.Redirect(w, r, p.Next, http.StatusSeeOther)
}

// signOut ends the session in this browser.
func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request, _ *Session) {
	d.setCookie(w, "", -time.Second)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}
