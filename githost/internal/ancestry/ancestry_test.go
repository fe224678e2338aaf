package ancestry_test

import (
	"strings"
	"testing"

	"switchyard/githost/internal/ancestry"
	"switchyard/internal/event"
)

// listed are commits written as "c<a,b": c with the parents a and b.
func listed(text string) (all []ancestry.Commit) {
	for word := range strings.FieldsSeq(text) {
		sha, parents, _ := strings.Cut(word, "<")
		c := ancestry.Commit{Commit: event.Commit{SHA: sha}}
		for p := range strings.SplitSeq(parents, ",") {
			c.Parents = append(c.Parents, p)
		}
		all = append(all, c)
	}
	return all
}

func names(all []event.Commit) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(" " + c.SHA)
	}
	return strings.TrimSpace(b.String())
}

func TestUpToIsWhatTheHeadHas(t *testing.T) {
	const line = "dd<cc cc<bb,x1 x1<aa bb<aa aa<00"
	for name, row := range map[string]struct{ list, head, want string }{
		"the newest":             {line, "dd", "aa bb x1 cc dd"},
		"an older one":           {line, "bb", "aa bb"},
		"by its first digit":     {line, "c", "aa bb x1 cc"},
		"none":                   {line, "ee", ""},
		"not said":               {line, "", ""},
		"two begin so":           {"ab<00 ac<00", "a", ""},
		"a circle":               {"aa<bb bb<aa", "aa", "aa bb"},
		"parents before, listed": {"aa<00 bb<aa", "bb", "aa bb"},
	} {
		if got := names(ancestry.OldestFirst(ancestry.UpTo(listed(row.list), row.head))); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestLists(t *testing.T) {
	found := []event.Commit{{SHA: "a"}, {SHA: "b"}}
	if !ancestry.Lists(found, found[1:]) || ancestry.Lists(found, []event.Commit{{SHA: "c"}}) {
		t.Error("a commit that is there is not found, or one that is not")
	}
}
