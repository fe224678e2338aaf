package journal

import (
	"database/sql/driver"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"

	"switchyard/dispatch"
)

// TestFirstSchemaIsBroughtUpToDate opens a file as the first schema left it.
func TestFirstSchemaIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	writeFirstSchema(t, path,
		delivery{1, "push", "refs/heads/main", `{"source":"github","kind":"push","ref":"refs/heads/main","after":"a1"}`},
		delivery{2, "push", "refs/heads/main", `{"source":"github","kind":"push","ref":"refs/heads/main","before":"a1","after":"a2"}`},
		delivery{3, "pull_request", "refs/heads/main", `{"source":"github","kind":"pull_request","action":"opened","ref":"refs/heads/main","pull_request":{"number":7,"base":"main","fork":true,"head_repo":"stranger/api"}}`},
		delivery{4, "pull_request", "refs/heads/fix", `{"source":"github","kind":"pull_request","action":"closed","ref":"refs/heads/fix","pull_request":{"number":8,"base":"main","head_repo":"acme/api"}}`},
		delivery{5, "push", "refs/heads/gone", `{"source":"github","kind":"push","ref":"refs/heads/gone","after":"b1"}`},
		delivery{6, "delete", "refs/heads/gone", `{"source":"github","kind":"delete","ref":"refs/heads/gone","before":"b1"}`},
		delivery{7, "pull_request", "refs/heads/x", `{"damaged`},
		delivery{8, "push", "refs/heads/later", `{"source":"github","kind":"push","ref":"refs/heads/later","after":"c1"}`}, // not expanded
	)
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	type row struct {
		ID, Head string
		Teardown bool
		Rerun    bool
	}
	var got []row
	page, err := j.Executions(t.Context(), dispatch.ExecutionFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range page.Executions {
		got = append(got, row{x.ID, x.HeadRepository, x.Teardown, x.Rerun})
	}
	if d := cmp.Diff([]row{
		{"r8", "", false, false}, {"r7", "", false, false}, {"r6", "", true, false}, {"r5", "", false, false}, {"r4", "", true, false},
		{"r3", "stranger/api", false, false}, {"r2-r2", "", false, true}, {"r2", "", false, false}, {"r1", "", false, false},
	}, got); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	tips := map[string]string{}
	err = j.read(t.Context(), func(s scan) error {
		var ref, sha string
		err := s(&ref, &sha)
		tips[ref] = sha
		return err
	}, `SELECT ref, sha FROM tips`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"refs/heads/main": "a2", "refs/heads/gone": ""}, tips); d != "" {
		t.Errorf("tips (-want +got):\n%s", d)
	}
	// The commits of forks are known as such from the requests.
	for sha, want := range map[string][]dispatch.Holder{"sha1": nil, "sha3": {{Source: "github", Repository: "acme/api"}}, "sha4": nil} {
		got, err := j.Holders(t.Context(), sha)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("holders of %s (-want +got):\n%s%v", sha, d, err)
		}
	}
	pending, err := j.Pending(t.Context(), 10)
	if err != nil || len(pending) != 1 || pending[0].Seq != 8 {
		t.Errorf("pending %+v, %v", pending, err)
	}
}

type delivery struct {
	seq              int64
	kind, ref, event string
}

// writeFirstSchema makes a file of schema 1 with these deliveries, a request
// r<seq> for each, and a rerun of the second. All but the last are expanded.
func writeFirstSchema(t *testing.T, path string, deliveries ...delivery) {
	t.Helper()
	raw, err := (&sqlite.Driver{}).Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(raw)
	defer c.close()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := migrations.ReadFile("migrations/0001_journal.sql")
	must(nil, err)
	must(nil, apply(c, string(text), 1))
	request := func(id driver.Value, attempt int64, d delivery) {
		must(c.exec(`INSERT INTO requests (id, base, attempt, delivery, route, state_machine, environment, source, repository, ref, kind, pull_request,
				sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at)
			VALUES (?, 'r' || ?, ?, ?, 'branches', 'deploy', '', 'github', 'acme/api', ?, ?, 0, 'sha' || ?, '', '', '', 1, 0, 'ready', 1, 1)`,
			id, d.seq, attempt, d.seq, d.ref, d.kind, d.seq))
	}
	for i, d := range deliveries {
		must(c.exec(`INSERT INTO deliveries VALUES (?, 'github', 'd' || ?, ?, 'acme/api', ?, 1, 1, '', ?)`, d.seq, d.seq, d.kind, d.ref, []byte(d.event)))
		request("r"+string(rune('0'+d.seq)), 1, d)
		if i == 1 {
			request("r2-r2", 2, d)
		}
	}
	must(c.exec(`UPDATE progress SET expanded = ?`, deliveries[len(deliveries)-2].seq))
}
