package dashboard_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/ui/dashboard"
)

func TestNothingIsReadableWithoutSignIn(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{execution(1)}})
	for path, next := range map[string]string{"/": "", "/?q=x&state=running": "/?q=x&state=running", "/live": "/live", "/deliveries": "/deliveries", "/environments": "/environments", "/health": "/health", "/deliveries/github:1": "/deliveries/github:1", "/executions/api-1": "/executions/api-1", "/executions/none": "/executions/none"} {
		resp, text := s.get(path)
		to, err := url.Parse(resp.Header.Get("Location"))
		if resp.StatusCode != http.StatusSeeOther || err != nil || to.Path != "/sign-in" || to.Query().Get("next") != next {
			t.Errorf("%s: %s to %s", path, resp.Status, to)
		}
		if strings.Contains(text, "acme") {
			t.Errorf("%s shows %s", path, text)
		}
	}
	if s.filter.Limit != 0 {
		t.Error("the journal was asked for somebody who has not signed in")
	}
	// Whoever presses a button when the session has ended comes back to its page.
	for act, next := range map[string]string{"/sign-out": "", "/executions/api-1/stop": "?next=%2Fexecutions%2Fapi-1", "/deliveries/github:d%2F1/replay": "?next=%2Fdeliveries%2Fgithub%3Ad%252F1"} {
		if resp, _ := s.post(act, url.Values{}); resp.Header.Get("Location") != "/sign-in"+next {
			t.Errorf("%s leads to %s", act, resp.Header.Get("Location"))
		}
	}
}

func TestSignInByToken(t *testing.T) {
	for name, row := range map[string]struct {
		form    url.Values
		headers []string
		status  int
		to      string
	}{
		"with a name":          {url.Values{"by": {"ada"}, "token": {token}}, nil, 303, "/"},
		"spaces around":        {url.Values{"by": {" ada "}, "token": {" " + token + "\n"}}, nil, 303, "/"},
		"to a page":            {url.Values{"by": {"ada"}, "token": {token}, "next": {"/?q=a"}}, nil, 303, "/?q=a"},
		"to another host":      {url.Values{"by": {"ada"}, "token": {token}, "next": {"https://evil.example/"}}, nil, 303, "/"},
		"to a host by slashes": {url.Values{"by": {"ada"}, "token": {token}, "next": {"//evil.example/"}}, nil, 303, "/"},
		"by a backslash":       {url.Values{"by": {"ada"}, "token": {token}, "next": {`/\evil.example`}}, nil, 303, "/"},
		"to a script":          {url.Values{"by": {"ada"}, "token": {token}, "next": {"javascript:alert(1)"}}, nil, 303, "/"},
		"wrong token":          {url.Values{"by": {"ada"}, "token": {token + "x"}}, nil, 403, ""},
		"no token":             {url.Values{"by": {"ada"}}, nil, 403, ""},
		"no name":              {url.Values{"token": {token}}, nil, 403, ""},
		"a long name":          {url.Values{"by": {strings.Repeat("a", 101)}, "token": {token}}, nil, 403, ""},
		"from another site":    {url.Values{"by": {"ada"}, "token": {token}}, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"from another origin":  {url.Values{"by": {"ada"}, "token": {token}}, []string{"Origin", "https://evil.example"}, 403, ""},
		"a large form":         {url.Values{"by": {"ada"}, "token": {strings.Repeat("x", 20_000)}}, nil, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, &books{})
			resp, text := s.post("/sign-in", row.form, row.headers...)
			if resp.StatusCode != row.status || resp.Header.Get("Location") != row.to {
				t.Errorf("%s to %q: %s", resp.Status, resp.Header.Get("Location"), text)
			}
			signedIn := row.status == http.StatusSeeOther
			if got, _ := s.get("/"); (got.StatusCode == http.StatusOK) != signedIn {
				t.Errorf("then / answers %s", got.Status)
			}
			for _, c := range resp.Cookies() {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || strings.Contains(c.Value, token) {
					t.Errorf("cookie %+v", c)
				}
			}
		})
	}
}

func TestSessionsEnd(t *testing.T) {
	now := start
	var s *site
	signedIn := func() bool { resp, _ := s.get("/"); return resp.StatusCode == http.StatusOK }
	for name, end := range map[string]func(){
		"by time":                   func() { now = now.Add(12 * time.Hour) },
		"with the token":            func() { s.tokens = []string{"another"} },
		"by signing out":            func() { s.post("/sign-out", url.Values{"form": {s.formKey(s.page("/"))}}) },
		"by a cookie that is bent":  func() { s.bend(func(v string) string { return "A" + v[1:] }) },
		"by a cookie without a MAC": func() { s.bend(func(v string) string { v, _, _ = strings.Cut(v, "."); return v }) },
	} {
		t.Run(name, func(t *testing.T) {
			now = start
			s = open(t, &books{}, dashboard.WithClock(func() time.Time { return now }))
			s.signIn()
			if !signedIn() {
				t.Fatal("not signed in")
			}
			end()
			if signedIn() {
				t.Error("still signed in")
			}
		})
	}
	t.Run("not with another token", func(t *testing.T) {
		s = open(t, &books{})
		s.signIn()
		s.tokens = []string{"new", token}
		if !signedIn() {
			t.Error("no longer signed in")
		}
	})
}

// bend changes the session's cookie.
func (s *site) bend(change func(string) string) {
	s.t.Helper()
	at, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range s.client.Jar.Cookies(at) {
		s.client.Jar.SetCookies(at, []*http.Cookie{{Name: c.Name, Value: change(c.Value), Path: "/"}})
	}
}

func TestLinksSignInOnce(t *testing.T) {
	now := start
	s := open(t, &books{}, dashboard.WithClock(func() time.Time { return now }))
	link := func(role string) string {
		address, until, err := s.board.SignInLink(sha256.Sum256([]byte(token)), "grace", role)
		if err != nil || !until.Equal(now.Add(10*time.Minute)) {
			t.Fatalf("%v, until %v", err, until)
		}
		return strings.TrimPrefix(address, s.URL)
	}
	use := func(path string) *http.Response {
		secret := path[strings.Index(path, "link=")+5:]
		resp, _ := s.post("/sign-in", url.Values{"link": {secret}})
		return resp
	}
	path := link("viewer")
	for range 2 { // looking at it uses nothing up
		if text := s.page(path); !strings.Contains(text, "grace") || !strings.Contains(text, "viewer") {
			t.Errorf("the page says %s", text)
		}
		if resp, _ := s.get("/"); resp.StatusCode == http.StatusOK {
			t.Error("following the link has signed in")
		}
	}
	if resp := use(path); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the button: %s", resp.Status)
	}
	if text := s.page("/"); !strings.Contains(text, "grace") || !strings.Contains(text, "viewer") {
		t.Errorf("signed in as somebody else: %s", text)
	}
	s.client = s.browser()
	if resp := use(path); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a second time: %s", resp.Status)
	}
	late := link("operator")
	now = now.Add(10 * time.Minute)
	if resp, _ := s.get(late); resp.StatusCode != http.StatusNotFound {
		t.Errorf("page of one that has expired: %s", resp.Status)
	}
	if resp := use(late); resp.StatusCode != http.StatusNotFound {
		t.Errorf("one that has expired: %s", resp.Status)
	}
	of := link("operator")
	s.tokens = nil
	if resp := use(of); resp.StatusCode != http.StatusNotFound {
		t.Errorf("one whose maker's token is gone: %s", resp.Status)
	}
	if _, _, err := s.board.SignInLink(sha256.Sum256(nil), "grace", "admin"); err == nil {
		t.Error("a role that there is none of was taken")
	}
}

func TestFormsMustComeFromThePage(t *testing.T) {
	s := open(t, &books{})
	s.signIn()
	key := s.formKey(s.page("/"))
	other := open(t, &books{})
	other.signIn()
	for name, row := range map[string]struct {
		form    url.Values
		headers []string
	}{
		"without a key":         {url.Values{}, nil},
		"with a wrong key":      {url.Values{"form": {key + "x"}}, nil},
		"with another's key":    {url.Values{"form": {other.formKey(other.page("/"))}}, nil},
		"from another site":     {url.Values{"form": {key}}, []string{"Sec-Fetch-Site", "cross-site"}},
		"from another origin":   {url.Values{"form": {key}}, []string{"Origin", "https://evil.example"}},
		"from a sister's site":  {url.Values{"form": {key}}, []string{"Sec-Fetch-Site", "same-site"}},
		"key in the query only": {url.Values{}, nil},
	} {
		path := "/sign-out"
		if name == "key in the query only" {
			path += "?form=" + key
		}
		if resp, _ := s.post(path, row.form, row.headers...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if resp, _ := s.get("/sign-out"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET signs out: %s", resp.Status)
	}
	s.page("/") // still signed in
}

func TestHTTPSKeepsTheCookieToTheHost(t *testing.T) {
	s := open(t, &books{})
	board, err := dashboard.New(s.books, s.books, func() [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(token))} }, "https://switchyard.acme.example/", []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = board
	resp, _ := s.post("/sign-in", url.Values{"by": {"ada"}, "token": {token}})
	if c := resp.Cookies(); len(c) != 1 || !c[0].Secure || !strings.HasPrefix(c[0].Name, "__Host-") || c[0].Domain != "" || c[0].Path != "/" {
		t.Errorf("cookies %+v", c)
	}
}

func TestKeysAreLongEnough(t *testing.T) {
	if _, err := dashboard.New(&books{}, &books{}, nil, "http://localhost", []byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}
