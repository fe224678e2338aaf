package router

import "strings"

// skipMarkers are the markers documented by GitHub Actions; GitLab, CircleCI,
// Travis and others know the first two. Case does not matter.
var skipMarkers = []string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"}

// skipMarker returns the marker in a commit message that asks for no run, or
// "". The trailer skip-checks: true counts as the message's last line, in a
// paragraph of its own or at the end of the trailers.
func skipMarker(message string) string {
	for rest := message; ; {
		i := strings.IndexByte(rest, '[')
		if i < 0 {
			break
		}
		rest = rest[i:]
		for _, m := range skipMarkers {
			if len(rest) >= len(m) && strings.EqualFold(rest[:len(m)], m) {
				return m
			}
		}
		rest = rest[1:]
	}
	body := strings.TrimRight(message, " \t\r\n")
	nl := strings.LastIndexByte(body, '\n')
	if nl < 0 {
		return "" // a subject, not a trailer
	}
	last := strings.TrimSpace(body[nl:])
	value, ok := cutPrefixFold(last, "skip-checks:")
	if !ok || !strings.EqualFold(strings.TrimSpace(value), "true") {
		return ""
	}
	before := strings.ReplaceAll(body[:nl+1], "\r\n", "\n")
	if !strings.Contains(before, "\n\n") {
		return ""
	}
	return "skip-checks: true"
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
