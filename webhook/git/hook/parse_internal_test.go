package hook

import (
	"bufio"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/git"
)

// Output of diff-tree as recorded: a root commit, one that changed nothing, one
// that renamed a file, and one that added a file named like a commit.
const recorded = "43df9fd038f35466a99fa7b72ba725d35751d9c1\x00Ada\x00a@b\x00first\n\nbody\n\x00\x00\n:000000 100644 0000 d004 A\x00a\x00" +
	"b912997fb7863c46571ab8099d2068868376f5a0\x00Ada\x00a@b\x00\x00\x00" +
	"b6e7dd83befb505a82b18e0dc241a1a56fef85b6\x00Ada\x00a@b\x00ren\n\x00\x00\n:100644 000000 d004 0000 D\x00a\x00:000000 100644 0000 d004 A\x00z\x00" +
	"fe1734ae20034ad0ac6d217744a25f6f66f65554\x00Ada\x00a@b\x00:not a path\n\x00\x00\n:000000 100644 0000 d004 A\x00b6e7dd83befb505a82b18e0dc241a1a56fef85b6\x00"

func parse(text string) (list []git.Commit, n int, err error) {
	n, err = readCommits(bufio.NewReader(strings.NewReader(text)), func(c git.Commit) error {
		list = append(list, c)
		return nil
	})
	return list, n, err
}

func TestReadCommits(t *testing.T) {
	who := git.Author{Name: "Ada", Email: "a@b"}
	want := []git.Commit{
		{ID: "43df9fd038f35466a99fa7b72ba725d35751d9c1", Author: who, Message: "first\n\nbody", Paths: []string{"a"}},
		{ID: "b912997fb7863c46571ab8099d2068868376f5a0", Author: who, Paths: []string{}},
		{ID: "b6e7dd83befb505a82b18e0dc241a1a56fef85b6", Author: who, Message: "ren", Paths: []string{"a", "z"}},
		{ID: "fe1734ae20034ad0ac6d217744a25f6f66f65554", Author: who, Message: ":not a path", Paths: []string{"b6e7dd83befb505a82b18e0dc241a1a56fef85b6"}},
	}
	got, n, err := parse(recorded)
	if diff := cmp.Diff(want, got); diff != "" || n != 4 || err != nil {
		t.Errorf("%d, %v, %s", n, err, diff)
	}
	for _, cut := range []int{50, 90, 130} {
		if _, _, err := parse(recorded[:cut]); err == nil {
			t.Errorf("cut off after %d bytes: no error", cut)
		}
	}
}

func TestLongMessagesAndPathListsAreCut(t *testing.T) {
	path := strings.Repeat("p", 1000)
	text := "id\x00n\x00e\x00" + strings.Repeat("é", maxMessage) + "\x00\x00" + strings.Repeat(":m\x00"+path+"\x00", 5000)
	got, _, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if m := got[0].Message; len(m) > maxMessage || len(m) < maxMessage-1 || !utf8.ValidString(m) {
		t.Errorf("a message of %d bytes", len(m))
	}
	// A part of the paths would skip components that did change.
	if got[0].Paths != nil {
		t.Errorf("%d paths, want them unknown", len(got[0].Paths))
	}
}

func FuzzReadCommits(f *testing.F) {
	f.Add(recorded)
	f.Add("")
	f.Add("id\x00n\x00e\x00m\x00\x00:m\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got, n, _ := parse(text)
		if n > len(got) {
			t.Errorf("%d counted, %d visited", n, len(got))
		}
		for _, c := range got {
			if !utf8.ValidString(c.Message + c.Author.Name + c.Author.Email + strings.Join(c.Paths, "")) {
				t.Errorf("not UTF-8: %+v", c)
			}
		}
	})
}

func FuzzParseUpdates(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add(id + " " + id + " refs/heads/main\n")
	f.Add(id + " " + id + " refs/tags/v 1\n" + id + " " + id + " refs/heads/x y\n")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, text string) {
		updates, err := parseUpdates(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, u := range updates {
			if !isID(u.old) || !isID(u.new) || !strings.HasPrefix(u.ref, branchPrefix) || strings.Contains(u.ref, "\n") {
				t.Errorf("%+v", u)
			}
		}
	})
}
