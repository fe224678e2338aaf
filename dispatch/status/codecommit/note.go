package codecommit

import (
	"net/url"
	"strings"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
)

// maxField bounds each part of a comment, in characters. All of it stays far
// below the 10,240 characters that the API takes.
const maxField = 500

// note is what a comment says.
type note struct {
	repository, context, sha string
	state                    dispatch.StatusState
	description, target      string
}

func newNote(s dispatch.Status, targetURL string) note {
	return note{s.Repository, s.Context, s.SHA, s.State, s.Description, targetURL}
}

// words are what people read of a state.
var words = map[dispatch.StatusState]string{
	dispatch.StatusPending: "pending", dispatch.StatusSuccess: "succeeded", dispatch.StatusFailure: "failed", dispatch.StatusError: "could not be run",
}

// String is the comment in Markdown. Its first line is not shown.
func (n note) String() string {
	var b strings.Builder
	b.WriteString(marker + "context=" + url.QueryEscape(n.context) + " commit=" + n.sha + " state=" + url.QueryEscape(string(n.state)) + ")\n\n")
	b.WriteString("**" + status.Markdown(n.context, maxField) + "** " + words[n.state] + " on `" + n.sha[:min(12, len(n.sha))] + "`")
	if n.description != "" {
		b.WriteString(": " + status.Markdown(n.description, maxField))
	}
	if link := linkTo(n.target); link != "" {
		b.WriteString(" ([execution](<" + link + ">))")
	}
	return b.String()
}

// marker begins the first line: a link definition that nothing refers to.
const marker = "[//]: # (switchyard "

// parse reads the first line of a comment. Only who may write our comments can
// have written it: the rest of the text is quoted, and comes after it.
func parse(content string) (n note, ok bool) {
	line, _, _ := strings.Cut(content, "\n")
	rest, ok := strings.CutPrefix(line, marker)
	if !ok || !strings.HasSuffix(rest, ")") {
		return note{}, false
	}
	fields := strings.Fields(strings.TrimSuffix(rest, ")"))
	if len(fields) != 3 {
		return note{}, false
	}
	for i, key := range []string{"context=", "commit=", "state="} {
		value, found := strings.CutPrefix(fields[i], key)
		value, err := url.QueryUnescape(value)
		if !found || err != nil {
			return note{}, false
		}
		switch key {
		case "context=":
			n.context = value
		case "commit=":
			n.sha = value
		case "state=":
			n.state = dispatch.StatusState(value)
		}
	}
	return n, true
}

// linkTo is a URL as it may stand between angle brackets; empty for what is not
// a web page's.
func linkTo(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return strings.NewReplacer("<", "%3C", ">", "%3E", "\\", "%5C", "\n", "", "\r", "", " ", "%20").Replace(u.String())
}
