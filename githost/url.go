package githost

import (
	"net/url"
	"strings"
)

// SameURL reports whether two URLs of webhooks lead to the same place, however
// scheme, host and a slash at the end are written.
func SameURL(a, b string) bool {
	one, err := url.Parse(a)
	if err != nil {
		return false
	}
	other, err := url.Parse(b)
	return err == nil && one.Host != "" && canonical(one) == canonical(other)
}

func canonical(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + strings.TrimRight(u.EscapedPath(), "/") + "?" + u.RawQuery
}
