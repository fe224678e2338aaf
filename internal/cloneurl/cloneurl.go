// Package cloneurl compares the URLs that repositories are cloned from.
package cloneurl

import (
	"net/url"
	"strings"
)

// Same reports whether said is the URL want, apart from what makes no
// difference: capitals of scheme and host, the scheme's own port, a slash or
// ".git" at the end. A URL with a user, query or fragment is the same as none.
func Same(said, want string) bool {
	a, ok := Plain(said)
	if !ok {
		return false
	}
	b, ok := Plain(want)
	return ok && a == b
}

// Plain is the one form of all URLs that are the same; ok is false of what has a
// user, query or fragment, or is no URL at all.
func Plain(text string) (plain string, ok bool) {
	plain, ok = address(text)
	return strings.TrimSuffix(plain, ".git"), ok
}

// address is a URL in one form, without the slash at its end.
func address(text string) (plain string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.Scheme + "://" + host + strings.TrimSuffix(u.EscapedPath(), "/"), true
}

// Below returns the full name of the repository that a URL names below a base,
// an http or https URL: <base>/<full name>, with or without ".git". ok is false
// of any other, and of one that has an element that could lead elsewhere. Of how
// many elements a full name is depends on the host.
func Below(text, base string) (name string, ok bool) {
	plain, ok := Plain(text)
	if !ok {
		return "", false
	}
	if base, ok = address(base); !ok {
		return "", false
	}
	rest, ok := strings.CutPrefix(plain, base+"/")
	if !ok {
		return "", false
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		p, err := url.PathUnescape(p)
		if err != nil || p == "" || p == "." || p == ".." || strings.ContainsAny(p, `/\`) {
			return "", false
		}
		parts[i] = p
	}
	return strings.Join(parts, "/"), true
}
