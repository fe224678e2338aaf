package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// strictDisk is a disk that keeps, over a power cut, only what it must: names
// that were in a folder when that was synced, and text that was in a file when
// that was.
type strictDisk struct {
	system
	// names that are in no synced folder yet, and the content that each name
	// has after a power cut; dirs end in nothing.
	pending map[string]string
	kept    map[string]string
	synced  map[string]string // content by the file's path when it was synced
	cutAt   int               // power is cut before this call; 0 is never
	calls   int
}

var errCut = errors.New("power cut")

func newStrictDisk(cutAt int) *strictDisk {
	return &strictDisk{pending: map[string]string{}, kept: map[string]string{}, synced: map[string]string{}, cutAt: cutAt}
}

func (d *strictDisk) step() error {
	if d.calls++; d.calls >= d.cutAt && d.cutAt > 0 {
		return errCut
	}
	return nil
}

func (d *strictDisk) mkdir(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.pending[path] = "folder"
	return d.system.mkdir(path)
}

func (d *strictDisk) create(path string) (*os.File, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.system.create(path)
	if err == nil {
		d.pending[path] = ""
	}
	return f, err
}

func (d *strictDisk) sync(f *os.File) error {
	if err := d.step(); err != nil {
		return err
	}
	text, err := os.ReadFile(f.Name())
	d.synced[f.Name()] = string(text)
	return err
}

func (d *strictDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	delete(d.pending, from)
	d.pending[to] = d.synced[from]
	return d.system.rename(from, to)
}

func (d *strictDisk) syncDir(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	for name, text := range d.pending {
		if filepath.Dir(name) == path {
			d.kept[name] = text
			delete(d.pending, name)
		}
	}
	return nil
}

// after is what a path holds after the power cut, if it can be reached.
func (d *strictDisk) after(root, path string) (string, bool) {
	for dir := path; dir != root; dir = filepath.Dir(dir) {
		if _, there := d.kept[dir]; !there {
			return "", false
		}
	}
	return d.kept[path], true
}

func TestAFolderSurvivesThePowerCutThatFollows(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "var", "lib", "switchyard")
	d := newStrictDisk(0)
	if err := makeOn(d, path); err != nil {
		t.Fatal(err)
	}
	f, made, err := createOn(d, filepath.Join(path, "journal.db"))
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	f.Close()
	if _, ok := d.after(root, filepath.Join(path, "journal.db")); !ok {
		t.Error("the file is gone, or a folder above it")
	}
	if f, made, err = createOn(d, filepath.Join(path, "journal.db")); err != nil || made {
		t.Errorf("again: made %v, %v", made, err)
	}
	f.Close()
	// Made by somebody who did not sync it.
	if err := os.Mkdir(filepath.Join(root, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.pending[filepath.Join(root, "mine")] = "folder"
	if err := makeOn(d, filepath.Join(root, "mine")); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.after(root, filepath.Join(root, "mine")); !ok {
		t.Error("a folder that was there already is gone")
	}
}

// Whenever power is cut, the file has its old content or its new one.
func TestAFileIsReplacedAsAWhole(t *testing.T) {
	for cutAt := 1; ; cutAt++ {
		root := t.TempDir()
		path := filepath.Join(root, "token")
		d := newStrictDisk(0)
		if err := writeOn(d, path, []byte("old")); err != nil {
			t.Fatal(err)
		}
		d.calls, d.cutAt = 0, cutAt
		err := writeOn(d, path, []byte("new"))
		text, ok := d.after(root, path)
		if err == nil {
			if !ok || text != "new" {
				t.Errorf("it was written, and after a power cut it holds %q, %v", text, ok)
			}
			if cutAt < 4 {
				t.Errorf("written in %d steps", cutAt)
			}
			return
		}
		if !ok || text != "old" && text != "new" {
			t.Errorf("cut before step %d: it holds %q, %v", cutAt, text, ok)
		}
	}
}

func TestWriteFileTakesOverWhatAPowerCutLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path+".new", []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "whole" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left over: %v", err)
	}
}
