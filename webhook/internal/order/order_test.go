package order

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

const sha = "00c8fe45069caac2a3d114c619322bd2a14fdf6a"

func TestParse(t *testing.T) {
	for text, want := range map[string]event.Order{
		"/switchyard rerun":                                 {Verb: event.Rerun},
		"/switchyard rerun my route\r\n":                    {Verb: event.Rerun, Route: "my route"},
		"  \n\n/switchyard\tstop\tdeploy  ":                 {Verb: event.Stop, Route: "deploy"},
		"Looks flaky to me.\n/switchyard Rerun\n":           {Verb: event.Rerun},
		"> their words\n\n/switchyard explain":              {Verb: event.Explain},
		"```\ncode\n```\n/switchyard stop":                  {Verb: event.Stop},
		"~~~~ yaml\n```\n~~~\n~~~~\n/switchyard stop":       {Verb: event.Stop},
		"a `span` here\n\n/switchyard stop":                 {Verb: event.Stop},
		"<details><pre>x</pre></details>\n/switchyard stop": {Verb: event.Stop},
		"<!-- a note -->\n/switchyard stop":                 {Verb: event.Stop},
		"/switchyard allow " + sha:                          {Verb: event.Allow, SHA: sha},
		"/switchyard allow " + strings.ToUpper(sha):         {Verb: event.Allow, SHA: sha},
		"/switchyard allow " + sha + sha[:24]:               {Verb: event.Allow, SHA: sha + sha[:24]},
		"/switchyard allow 00c8fe4":                         {Verb: event.Allow, Wrong: "allow takes the whole ID of a commit, 40 or 64 hex digits: of a short one there can be another commit by then"},
		"/switchyard allow " + strings.Repeat("0", 40):      {Verb: event.Allow, Wrong: "allow takes the whole ID of a commit, 40 or 64 hex digits: of a short one there can be another commit by then"},
		"/switchyard approve":                               {Verb: event.Approve},
		"/switchyard approve it is Friday, but fine":        {Verb: event.Approve, Reason: "it is Friday, but fine"},
		"/switchyard Approve 00C8fe4 seen\x1b":              {Verb: event.Approve, SHA: "00c8fe4", Reason: `seen\x1b`},
		"/switchyard reject " + sha:                         {Verb: event.Reject, SHA: sha},
		"/switchyard reject deface":                         {Verb: event.Reject, Reason: "deface"},
		"/switchyard reject " + strings.Repeat("é", 301):    {Verb: event.Reject, Reason: strings.Repeat("é", 299) + "…"},
		"/switchyard":                                  {Wrong: "no command is named; there are " + known},
		"/switchyard $(reboot)\x1b[31m":                {Wrong: `"$(reboot)\x1b[31m" is not a command; there are ` + known},
		"/switchyard rerun a\x00b":                     {Verb: event.Rerun, Wrong: `"a\x00b" is not the name of a route`},
		"/switchyard rerun " + strings.Repeat("é", 65): {Verb: event.Rerun, Wrong: `"` + strings.Repeat("é", 65) + `" is not the name of a route`},
		"/switchyard explain deploy":                   {Verb: event.Explain, Wrong: "explain is about all routes, and takes no name"},
		"/switchyard rerun\n/switchyard stop":          {Wrong: "a comment can hold one command"},
	} {
		got, ok := Parse(text)
		if d := cmp.Diff(want, got); !ok || d != "" {
			t.Errorf("%q: %v\n%s", text, ok, d)
		}
	}
}

func TestWhatIsNoCommand(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  "",
		"a word of its own":        "/switchyards rerun",
		"in a sentence":            "please /switchyard rerun",
		"in other case":            "/SWITCHYARD rerun",
		"behind a space":           " /switchyard rerun",
		"indented code":            "text\n\n    /switchyard rerun",
		"a quotation":              "> /switchyard rerun",
		"goes on a quotation":      "> ada wrote\n/switchyard rerun",
		"an indented quotation":    "   > ada wrote\n/switchyard rerun",
		"an answer by mail":        "No.\n\n-----Original Message-----\n/switchyard rerun",
		"an answer of Outlook":     "No.\n________________________________\nFrom: Eve <eve@example.com>\nSent: Monday\n\n/switchyard rerun",
		"an answer to a person":    "No.\n\nOn Mon, Nov 23, 2026 at 9:00 AM Eve wrote:\n\n/switchyard rerun",
		"an answer in German":      "Nein.\nAm 23.11.2026 um 9:00 schrieb Eve:\n/switchyard rerun",
		"an answer in French":      "Non.\nLe 23 nov. 2026 à 9:00, Ève a écrit :\n/switchyard rerun",
		"a code block":             "```\n/switchyard rerun\n```",
		"a code block with tildes": "~~~\n/switchyard rerun\n```\n/switchyard rerun\n~~~",
		"a longer fence":           "````\n```\n/switchyard rerun\n````",
		"a code block left open":   "```sh\n\n/switchyard rerun",
		"a fence with text behind": "```\n``` x\n/switchyard rerun\n```",
		"a span over lines":        "see `this\n/switchyard rerun\nthat`",
		"a pre":                    "<pre>\n\n/switchyard rerun\n</pre>",
		"a quoting element":        "<blockquote>\n\n/switchyard rerun\n\n</blockquote>",
		"an element in an element": "<blockquote class=x><code>a</code>\n\n/switchyard rerun\n\n</blockquote>",
		"an HTML comment":          "<!--\n/switchyard rerun\n-->",
		"a list item":              "- /switchyard rerun",
		"bold":                     "**/switchyard rerun**",
		"code in a comment's end":  "<!-- x\n--> <code>\n\n/switchyard rerun",
	} {
		if got, ok := Parse(text); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Whatever the comment says, an order is what its verb allows and can be kept.
func FuzzParse(f *testing.F) {
	f.Add("/switchyard rerun my route")
	f.Add("> q\n/switchyard stop\n\n/switchyard allow " + sha)
	f.Add("```\n/switchyard rerun\n```\n<pre>\n/switchyard explain")
	f.Add("/switchyard rerun \u202e\xff`@acme/all`")
	f.Add("<!-- <code>-->`\n\n/switchyard\tallow 00c8")
	f.Fuzz(func(t *testing.T, text string) {
		o, ok := Parse(text)
		switch {
		case !ok && o != (event.Order{}), ok && o.Verb == "" && o.Wrong == "":
			t.Errorf("%+v, %v", o, ok)
		case ok && !strings.Contains(text, word):
			t.Errorf("%+v out of nothing", o)
		case o.Wrong == "" && o.Verb == event.Allow && len(o.SHA) != 40 && len(o.SHA) != 64:
			t.Errorf("allows %q", o.SHA)
		case utf8.RuneCountInString(o.Route) > maxRoute || !utf8.ValidString(o.Route) || strings.ContainsAny(o.Route, "\n\r\x00"):
			t.Errorf("route %q", o.Route)
		case utf8.RuneCountInString(o.Reason) > maxReason || !utf8.ValidString(o.Reason) || strings.ContainsAny(o.Reason, "\n\r\x00\x1b"):
			t.Errorf("reason %q", o.Reason)
		case o.Wrong != "" && (o.SHA != "" || o.Route != "" || o.Reason != ""):
			t.Errorf("%+v", o)
		}
	})
}
