package objects_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/objects"
)

func open(t *testing.T) (*objects.Dir, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "objects")
	d, err := objects.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, root
}

func put(t *testing.T, d *objects.Dir, bucket, key, body string) {
	t.Helper()
	n, err := d.Put(t.Context(), bucket, key, func(w io.Writer) error {
		_, err := io.WriteString(w, body)
		return err
	})
	if err != nil || n != int64(len(body)) {
		t.Fatalf("put %s: %d bytes, %v", key, n, err)
	}
}

func TestPutReplacesWhole(t *testing.T) {
	d, _ := open(t)
	put(t, d, "b", "a/b c/ü.json", "old and longer")
	put(t, d, "b", "a/b c/ü.json", "new")
	broken := errors.New("broken")
	_, err := d.Put(t.Context(), "b", "a/b c/ü.json", func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("put that fails: %v, want %v", err, broken)
	}
	r, err := d.Open(t.Context(), "b", "a/b c/ü.json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if body, err := io.ReadAll(r); err != nil || string(body) != "new" {
		t.Errorf("read %q, %v; want new", body, err)
	}
	if got, err := list(t.Context(), d, "b", ""); err != nil || !slices.Equal(got, []string{"a/b c/ü.json"}) {
		t.Errorf("listed %q, %v", got, err)
	}
}

func list(ctx context.Context, d *objects.Dir, bucket, prefix string) (keys []string, err error) {
	for o, err := range d.List(ctx, bucket, prefix) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, o.Key)
	}
	return keys, nil
}

// TestListIsInOrderOfKeys: S3 compares whole keys, byte by byte; a folder's
// name counts with its slash.
func TestListIsInOrderOfKeys(t *testing.T) {
	d, _ := open(t)
	keys := []string{"a-b", "a.txt", "a/b", "a/b.c/d", "a/c", "a0", "b", "ab/c"}
	for _, k := range keys {
		put(t, d, "b", k, k)
	}
	put(t, d, "other", "x", "")
	for prefix, want := range map[string][]string{
		"":      {"a-b", "a.txt", "a/b", "a/b.c/d", "a/c", "a0", "ab/c", "b"},
		"a":     {"a-b", "a.txt", "a/b", "a/b.c/d", "a/c", "a0", "ab/c"},
		"a/":    {"a/b", "a/b.c/d", "a/c"},
		"a/b":   {"a/b", "a/b.c/d"},
		"a/b.":  {"a/b.c/d"},
		"none":  nil,
		"no/ne": nil,
		"../":   nil,
	} {
		got, err := list(t.Context(), d, "b", prefix)
		if err != nil {
			t.Errorf("list %q: %v", prefix, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("list %q: -want +got\n%s", prefix, diff)
		}
	}
	if _, err := list(t.Context(), d, "missing", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list a bucket that is not there: %v", err)
	}
	for range d.List(t.Context(), "b", "") {
		break // the walk must take that
	}
}

// TestNothingOutsideIsReached: neither names nor links lead out of the folder.
func TestNothingOutsideIsReached(t *testing.T) {
	d, root := open(t)
	put(t, d, "b", "in", "in")
	secret := filepath.Join(filepath.Dir(root), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"up": "../..", "file": secret, "dir": filepath.Dir(root)} {
		if err := os.Symlink(to, filepath.Join(root, "b", link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range [][2]string{
		{"b", "../../secret"}, {"b", "/etc/passwd"}, {"b", "x/../../../secret"}, {"b", ".."}, {"b", "."}, {"b", ""},
		{"b", "a//b"}, {"b", "a/"}, {"b", "a\x00b"}, {"b", `..\..\secret`}, {"b", "\xff"}, {"b", strings.Repeat("k", 1025)},
		{"..", "secret"}, {".", "b/in"}, {"", "secret"}, {"b/..", "secret"}, {"/", "etc/passwd"}, {strings.Repeat("b", 256), "k"},
		{"b", "up/secret"}, {"b", "file"}, {"b", "dir/secret"},
	} {
		if r, err := d.Open(t.Context(), name[0], name[1]); err == nil {
			r.Close()
			t.Errorf("open %q in %q: no error", name[1], name[0])
		}
		if name[1] == "file" {
			continue // written in the link's place, not through it
		}
		if _, err := d.Put(t.Context(), name[0], name[1], func(w io.Writer) error {
			_, err := io.WriteString(w, "overwritten")
			return err
		}); err == nil {
			t.Errorf("put %q in %q: no error", name[1], name[0])
		}
	}
	if got, err := list(t.Context(), d, "b", ""); err != nil || !slices.Equal(got, []string{"in"}) {
		t.Errorf("listed %q, %v; want in alone", got, err)
	}
	if body, err := os.ReadFile(secret); err != nil || string(body) != "secret" {
		t.Errorf("the file outside is now %q, %v", body, err)
	}
}

func TestMissingObject(t *testing.T) {
	d, _ := open(t)
	put(t, d, "b", "folder/k", "")
	for _, key := range []string{"k", "folder", "folder/k/below"} {
		r, err := d.Open(t.Context(), "b", key)
		if err == nil {
			r.Close()
		}
		if key != "folder/k/below" && !errors.Is(err, fs.ErrNotExist) || err == nil {
			t.Errorf("open %s: %v", key, err)
		}
	}
}
