package hook_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"switchyard/webhook/git/hook"
)

// A service that runs as root must not take the repository's own account the
// ledger away.
func TestRootLeavesWhatItWritesToTheRepositorysOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files that are another account's")
	}
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	const owner = 12345
	err := filepath.WalkDir(r.bare, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner, owner)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.git(r.bare, "-c", "safe.directory=*", "--git-dir=.", "update-ref", "refs/heads/x", "main")
	r.server.answer(http.StatusBadGateway) // so that it stays in the spool
	h, err := hook.At(t.Context(), r.bare, hook.WithSettle(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Flush(t.Context(), &bytes.Buffer{}, false, 0); err == nil {
		t.Fatal("no error while the server is down")
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(r.bare, "switchyard"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if of := info.Sys().(*syscall.Stat_t); of.Uid != owner || of.Gid != owner {
			t.Errorf("%s belongs to %d:%d", path, of.Uid, of.Gid)
		}
		return nil
	})
	if err != nil || files < 7 {
		t.Errorf("%d files, %v", files, err)
	}
}
