package github_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"
)

// id is a commit's ID that shows its place in the history, 1 being the oldest.
func id(n int) string { return fmt.Sprintf("%040x", n) }

// pushed is a push of commits, each a number or an object, as a host lists them.
func pushed(t *testing.T, change func(object), commits ...any) []byte {
	t.Helper()
	return mutate(t, "push.json", func(m object) {
		list := []any{}
		for _, c := range commits {
			if n, ok := c.(int); ok {
				c = object{"id": id(n), "message": fmt.Sprint("commit ", n), "distinct": true, "added": []any{}}
			}
			list = append(list, c)
		}
		m["commits"] = list
		delete(m, "head_commit")
		if change != nil {
			change(m)
		}
	})
}

func numbers(ev *event.Event) (all []int) {
	for _, c := range ev.Commits {
		n := 0
		fmt.Sscanf(c.SHA, "%x", &n)
		all = append(all, n)
	}
	return all
}

// timed is a commit with a time in minutes, parented one with parents.
func timed(n, minute int) object {
	return object{"id": id(n), "message": "m", "timestamp": fmt.Sprintf("2026-01-05T10:%02d:00+02:00", minute)}
}

func parented(n int, parents ...int) object {
	texts, objects := []any{}, []any{}
	for _, p := range parents {
		texts, objects = append(texts, id(p)), append(objects, object{"sha": id(p), "url": "u"})
	}
	if n%2 == 0 { // hosts have both
		texts = objects
	}
	return object{"id": id(n), "message": "m", "parents": texts}
}

func TestPushedCommitsAreOldestFirstAndWhole(t *testing.T) {
	after := func(n int) func(object) { return func(m object) { m["after"] = id(n) } }
	with := func(changes ...func(object)) func(object) {
		return func(m object) {
			for _, c := range changes {
				c(m)
			}
		}
	}
	set := func(key string, v any) func(object) { return func(m object) { m[key] = v } }
	created := set("before", strings.Repeat("0", 40))
	head := func(n int) func(object) {
		return set("head_commit", object{"id": id(n), "message": "head", "author": object{"name": "Ada"}, "modified": []any{"x"}})
	}
	for name, row := range map[string]struct {
		change    func(object)
		commits   []any
		want      []int
		truncated bool
		total     int
	}{
		"GitHub":                           {change: after(3), commits: []any{1, 2, 3}, want: []int{1, 2, 3}},
		"newest first, not known whose":    {change: after(3), commits: []any{3, 2, 1}, want: []int{1, 2, 3}},
		"a total that says there are more": {change: with(after(12), set("total_commits", 12)), commits: []any{12, 11}, want: []int{11, 12}, truncated: true, total: 12},
		"a total of text":                  {change: with(after(2), set("total_commits", "many"), set("size", -4)), commits: []any{1, 2}, want: []int{1, 2}},
		"size says there are more":         {change: with(after(2), set("size", 7)), commits: []any{1, 2}, want: []int{1, 2}, truncated: true, total: 7},
		"size says that is all":            {change: with(after(2), set("size", 2)), commits: []any{1, 2}, want: []int{1, 2}, total: 2},
		"head left out":                    {change: with(after(9), head(9)), commits: []any{1, 2}, want: []int{1, 2, 9}, truncated: true},
		"head left out, not described":     {change: after(9), commits: []any{1, 2}, want: []int{1, 2, 9}, truncated: true},
		"head left out, times fall":        {change: after(9), commits: []any{timed(3, 30), timed(2, 20), timed(1, 20)}, want: []int{1, 2, 3, 9}, truncated: true},
		"head left out, times mixed":       {change: after(9), commits: []any{timed(1, 30), timed(2, 20), timed(3, 40)}, want: []int{1, 2, 3, 9}, truncated: true},
		"head in the middle":               {change: after(2), commits: []any{timed(3, 30), timed(2, 50), timed(1, 10)}, want: []int{1, 3, 2}},
		"head in the middle, no times":     {change: after(2), commits: []any{1, 2, 3}, want: []int{1, 3, 2}},
		"parents":                          {change: after(4), commits: []any{parented(2, 1), parented(4, 3, 2), parented(1), parented(3, 1)}, want: []int{1, 2, 3, 4}},
		"a circle of parents":              {change: after(2), commits: []any{parented(1, 2), parented(2, 1)}, want: []int{2, 1}},
		"no after":                         {change: with(set("after", nil), head(3)), commits: []any{1, 2, 3}, want: []int{1, 2, 3}, truncated: true},
		"no after, no head":                {change: set("after", nil), commits: []any{1, 2, 3}, want: []int{1, 2, 3}, truncated: true},
		"no after, times fall":             {change: set("after", nil), commits: []any{timed(3, 30), timed(1, 10)}, want: []int{1, 3}, truncated: true},
		"no list at all":                   {change: with(after(5), set("commits", nil), head(5)), want: []int{5}, truncated: true},
		"an empty list":                    {change: with(after(5), head(5)), want: []int{5}},
		"an empty list, created":           {change: with(after(5), created), want: []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := newSource(t).Decode(header("push"), pushed(t, row.change, row.commits...))
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(&ev); !slices.Equal(got, row.want) || ev.Truncated != row.truncated || ev.Total != row.total {
				t.Errorf("commits %v, truncated %v, total %d; want %v, %v, %d", got, ev.Truncated, ev.Total, row.want, row.truncated, row.total)
			}
			if last := ev.Commits[len(ev.Commits)-1].SHA; last != ev.After && name != "a circle of parents" {
				t.Errorf("the last is %s, the head %s", last, ev.After)
			}
		})
	}
}

func TestHeadThatIsNotListedHasItsFacts(t *testing.T) {
	ev, err := newSource(t).Decode(header("push"), pushed(t, func(m object) {
		m["after"] = id(9)
		m["head_commit"] = object{"id": id(9), "message": "head", "author": object{"name": "Ada"}, "modified": []any{"x"}}
	}, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if got := ev.Commits[2]; got.Message != "head" || !got.MessageKnown || !got.Distinct || got.Author != "Ada" || !got.PathsKnown || !slices.Equal(got.Paths, []string{"x"}) {
		t.Errorf("%+v", got)
	}
}

// GitHub lists 2,048 commits at most; whether there are more it does not say.
func TestPushOf2048Commits(t *testing.T) {
	list := make([]any, 2048)
	for i := range list {
		list[i] = i + 1
	}
	for name, row := range map[string]struct {
		after, size, commits int
		truncated            bool
	}{
		"head left out":     {after: 9999, commits: 2049, truncated: true},
		"head listed":       {after: 2048, commits: 2048, truncated: true},
		"and that is all":   {after: 2048, size: 2048, commits: 2048},
		"and there is more": {after: 2048, size: 2049, commits: 2048, truncated: true},
	} {
		ev, err := newSource(t).Decode(header("push"), pushed(t, func(m object) {
			m["after"] = id(row.after)
			if row.size > 0 {
				m["size"] = row.size
			}
		}, list...))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(ev.Commits); n != row.commits || ev.Truncated != row.truncated || ev.Commits[n-1].SHA != ev.After {
			t.Errorf("%s: %d commits, truncated %v", name, n, ev.Truncated)
		}
	}
}

// Whatever order a history is listed in, parents come before children.
func TestParentsDecideInEveryOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for range 50 {
		n := 2 + random.IntN(12)
		list := make([]any, n)
		parents := map[int][]int{}
		for i := range n {
			for range random.IntN(3) {
				if i > 0 {
					parents[i+1] = append(parents[i+1], 1+random.IntN(i))
				}
			}
			if i == n-1 {
				parents[n] = append(parents[n], n-1)
			}
			list[i] = parented(i+1, parents[i+1]...)
		}
		random.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
		ev, err := newSource(t).Decode(header("push"), pushed(t, func(m object) { m["after"] = id(n) }, list...))
		if err != nil {
			t.Fatal(err)
		}
		got := numbers(&ev)
		for child, all := range parents {
			for _, p := range all {
				if slices.Index(got, p) > slices.Index(got, child) {
					t.Fatalf("%d comes after its child %d in %v", p, child, got)
				}
			}
		}
	}
}
