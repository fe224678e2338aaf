//go:build unix

package build

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"switchyard/internal/cloneurl"
)

// remote is a clone URL that was found safe to give to git.
type remote struct {
	// url has no user and password, except the user of ssh. Of a repository on
	// this machine it is the path.
	url string
	// scheme is https, http, ssh or file.
	scheme string
	// user and password were in the URL, or are what the host is to be given.
	user, password string
	// bearer says that password goes without a user, in a header of its own.
	bearer bool
	// host and path are as git says them to a credential helper; "" but for
	// http and https.
	host, path string
}

// scpLike is user@host:path, ssh's short form. The path must not begin with
// a second colon, which would name a transport helper, or with a dash.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_][A-Za-z0-9_.-]*:[^:-]`)

// parseRemote refuses URLs that git would take for an option, a transport
// helper (ext::) or a path relative to wherever it runs, and those that lead
// elsewhere than they seem to.
func parseRemote(raw string) (remote, error) {
	switch {
	case raw == "":
		return remote{}, errors.New("clone URL is empty")
	case hasControl(raw):
		return remote{}, fmt.Errorf("clone URL %q has a control character", withoutUser(raw))
	case raw[0] == '-':
		return remote{}, fmt.Errorf("clone URL %q begins with -", raw)
	case filepath.IsAbs(raw):
		return localRemote(raw)
	case hasScheme(raw):
		return urlRemote(raw)
	case scpLike.MatchString(raw):
		if _, p, _ := strings.Cut(raw, ":"); leadsElsewhere(p) {
			return remote{}, fmt.Errorf("clone URL %q has .. in its path", raw)
		}
		return remote{url: raw, scheme: "ssh"}, nil
	}
	return remote{}, fmt.Errorf("clone URL %q is neither a URL, host:path nor an absolute path", withoutUser(raw))
}

// CheckCloneURL refuses what no build can fetch from.
func CheckCloneURL(cloneURL string) error {
	_, err := parseRemote(cloneURL)
	return err
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// hasScheme tells scheme://host from host:path, which may hold :// too.
func hasScheme(raw string) bool {
	scheme, _, ok := strings.Cut(raw, "://")
	return ok && !strings.Contains(scheme, ":")
}

func leadsElsewhere(path string) bool { return slices.Contains(strings.Split(path, "/"), "..") }

func localRemote(dir string) (remote, error) {
	if plain := filepath.Clean(dir); plain != dir && plain+"/" != dir {
		return remote{}, fmt.Errorf("clone path %q is not written plainly; write %q", dir, plain)
	}
	return remote{url: filepath.Clean(dir), scheme: "file"}, nil
}

func urlRemote(raw string) (remote, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The text may hold a password: it is not repeated.
		return remote{}, errors.New("clone URL is not a valid URL")
	}
	rm := remote{scheme: u.Scheme}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return remote{}, fmt.Errorf("clone URL %s has a query or fragment", u.Redacted())
	case hasControl(u.Path):
		return remote{}, fmt.Errorf("clone URL %s has a control character", u.Redacted())
	case leadsElsewhere(u.Path):
		return remote{}, fmt.Errorf("clone URL %s has .. in its path", u.Redacted())
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" || u.User != nil {
			return remote{}, fmt.Errorf("clone URL %s names a host; a file URL has none", u.Redacted())
		}
		if !filepath.IsAbs(u.Path) {
			return remote{}, fmt.Errorf("clone URL %s has no absolute path", u.Redacted())
		}
		return localRemote(u.Path)
	case u.Host == "" || u.Hostname() == "" || u.Host[0] == '-' || strings.HasPrefix(u.User.Username(), "-"):
		return remote{}, fmt.Errorf("clone URL %s has no valid host", u.Redacted())
	case strings.Trim(u.Path, "/") == "" || strings.HasPrefix(u.Path, "/-"):
		return remote{}, fmt.Errorf("clone URL %s names no repository", u.Redacted())
	}
	switch u.Scheme {
	case "http", "https":
		if u.User != nil {
			rm.user = u.User.Username()
			rm.password, _ = u.User.Password()
			u.User = nil
		}
		rm.url, rm.host, rm.path = u.String(), u.Host, strings.Trim(u.Path, "/")
	case "ssh":
		if _, has := u.User.Password(); has {
			return remote{}, fmt.Errorf("clone URL %s has a password, which ssh does not take", u.Redacted())
		}
		rm.url = raw
	default:
		return remote{}, fmt.Errorf("clone URL has scheme %q; builds clone by https, and from where the config says also by http, by ssh or from a path", u.Scheme)
	}
	return rm, nil
}

// key is the same for all ways of writing a clone URL.
func (rm remote) key() string {
	if plain, ok := cloneurl.Plain(rm.url); ok && rm.scheme != "file" {
		return plain
	}
	return rm.url
}

// Fetch is a repository that a build fetches from.
type Fetch struct {
	// URL is the clone URL, without user and password.
	URL string
	// Source and Repository are what the build's execution is about, by the
	// input that it was started with; "" where that says neither. Nothing that
	// a state machine does or a commit holds can change them.
	Source, Repository string
	// Named is true where the configuration of builds names the URL: as the
	// repository of a project, or as a submodule of this build's.
	Named bool
}

// Credentials are what a host is given for one repository.
type Credentials struct {
	// User and Password go to the host that the URL names. Without a User the
	// Password is a token that is sent as a bearer.
	User, Password string
	// Note is for the build's log: why there are none, if somebody could expect
	// some.
	Note string
}

// named reports whether the configuration of builds names a repository for
// builds of a project.
func (h *Handler) named(rm remote, submodules []string) bool {
	for _, p := range h.cfg.Projects {
		if p.CloneURL == "" {
			continue
		}
		if own, err := parseRemote(p.CloneURL); err == nil && own.key() == rm.key() {
			return true
		}
	}
	return lists(submodules, rm)
}

// lists reports whether a list of submodules has a repository: by its URL, or by
// one in which * stands for any name.
func lists(submodules []string, rm remote) bool {
	return slices.ContainsFunc(submodules, func(s string) bool {
		listed, err := parseRemote(s)
		if err != nil || listed.scheme != rm.scheme {
			return false
		}
		ok, err := path.Match(listed.key(), rm.key())
		return ok && err == nil
	})
}

// permit returns why a build may not fetch from a repository, or nil. What is
// reached with the rights of this machine (its files, its SSH keys, its
// network's plain HTTP) has to be named by the configuration: what asks for it
// may be what a commit or a caller says.
func (h *Handler) permit(rm remote, named bool) error {
	if named || rm.scheme == "https" || h.access.Configured(rm.url) {
		return nil
	}
	what := map[string]string{
		"file": "builds fetch from a path of this machine", "ssh": "builds fetch by SSH, with the keys of this machine,",
		"http": "builds fetch without TLS",
	}[rm.scheme]
	return fmt.Errorf("clone URL %s: %s only where the config names it: as the repository of a project under engine.embedded.projects or, but for SSH, of a source", redact(rm.url), what)
}

// withoutUser is a text that should have been a URL, without what may be a
// password in it.
func withoutUser(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}
