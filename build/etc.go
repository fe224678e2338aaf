//go:build unix

package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// etcNames are the files of /etc that programs need to run at all: no passwords,
// and no configuration in which people keep tokens.
var etcNames = []string{
	"alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
	"fonts", "gai.conf", "host.conf", "inputrc", "java*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
	"locale.alias", "locale.conf", "locale.gen", "localtime", "magic", "magic.mime", "mime.types",
	"nsswitch.conf", "os-release", "perl", "pki", "profile", "profile.d", "protocols", "python3*", "rpc",
	"services", "shells", "ssl", "terminfo", "timezone",
}

// etcEvery is how often it is looked whether one of them has changed.
const etcEvery = time.Minute

// etcCopies are copies of those files, one of which an isolated build has as
// /etc. A mount for each file would cost every build a tenth of a millisecond
// or, on a machine with many mounts, much more. What not everybody may read on
// this machine is not copied.
//
// When a file has changed, a new copy is made for the builds to come. The old
// one goes with the last build that has it.
type etcCopies struct {
	// from is /etc, and root is where the copies are.
	from, root string
	// hidden are paths that must not be copied, and points are paths below /etc
	// on which something is mounted.
	hidden, points []string
	log            *zap.Logger
	now            func() time.Time

	mu      sync.Mutex
	current *etcCopy
	looked  time.Time
	made    int
}

// etcCopy is one copy, which is not changed any more.
type etcCopy struct {
	dir, sum string
	users    int
}

// take gives the copy for one build, until it is given back with [etcCopies.release].
func (e *etcCopies) take() (*etcCopy, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.now(); e.current == nil || now.Sub(e.looked) >= etcEvery || now.Before(e.looked) {
		if err := e.renew(); err != nil {
			if e.current == nil {
				return nil, err
			}
			e.log.Warn("builds keep their earlier copy of /etc", zap.Error(err))
		}
		e.looked = now
	}
	e.current.users++
	return e.current, nil
}

func (e *etcCopies) release(c *etcCopy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.users--
	e.discard(c)
}

func (e *etcCopies) discard(c *etcCopy) {
	if c == nil || c == e.current || c.users > 0 {
		return
	}
	if err := removeAll(c.dir); err != nil {
		e.log.Warn("an earlier copy of /etc can't be removed", zap.Error(err))
	}
}

// renew makes a new copy if a file has changed.
func (e *etcCopies) renew() error {
	files := e.list()
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%q %q %v %d %d\n", f.name, f.link, f.info.Mode(), f.info.Size(), f.info.ModTime().UnixNano())
	}
	next := &etcCopy{sum: hex.EncodeToString(sum.Sum(nil))}
	old := e.current
	if old != nil && old.sum == next.sum {
		return nil
	}
	e.made++
	next.dir = filepath.Join(e.root, strconv.Itoa(e.made))
	if err := e.write(next.dir, files); err != nil {
		return errors.Join(fmt.Errorf("copy /etc for builds: %w", err), removeAll(next.dir))
	}
	e.current = next
	e.discard(old)
	return nil
}

// etcFile is something to be copied from path to name: a directory, a file, or a
// link.
type etcFile struct {
	path, name, link string
	info             fs.FileInfo
}

// list finds what is to be copied, directories before what is in them.
func (e *etcCopies) list() []etcFile {
	var files []etcFile
	for _, pattern := range slices.Concat(etcNames, []string{"hosts"}) {
		found, _ := filepath.Glob(filepath.Join(e.from, pattern))
		for _, path := range found {
			name := filepath.Base(path)
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue // a link that leads nowhere
			}
			info, err := os.Lstat(path)
			if err == nil && info.Mode()&os.ModeSymlink != 0 && slices.ContainsFunc(systemDirs, func(dir string) bool { return within(real, dir) }) {
				files = append(files, etcFile{path, name, real, info})
				continue
			}
			files = e.walk(files, real, name)
		}
	}
	return files
}

func (e *etcCopies) walk(files []etcFile, path, name string) []etcFile {
	info, err := os.Lstat(path)
	if err != nil || slices.ContainsFunc(e.hidden, func(h string) bool { return within(path, h) }) {
		return files
	}
	f := etcFile{path: path, name: name, info: info}
	mode := info.Mode()
	switch {
	case mode&os.ModeSymlink != 0:
		if f.link, err = os.Readlink(path); err != nil {
			return files
		}
		return append(files, f)
	case mode.IsRegular() && mode.Perm()&0o004 != 0:
		return append(files, f)
	case !mode.IsDir() || mode.Perm()&0o005 != 0o005:
		return files
	}
	files = append(files, f)
	entries, err := os.ReadDir(path)
	if err != nil {
		return files
	}
	for _, entry := range entries {
		files = e.walk(files, filepath.Join(path, entry.Name()), filepath.Join(name, entry.Name()))
	}
	return files
}

func (e *etcCopies) write(dir string, files []etcFile) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		var err error
		switch {
		case f.link != "":
			err = root.Symlink(f.link, f.name)
		case f.info.IsDir():
			err = root.Mkdir(f.name, 0o755)
		default:
			err = copyEtcFile(root, f)
		}
		if err != nil {
			return err
		}
	}
	hosts, err := root.ReadFile("hosts")
	if err != nil {
		hosts = []byte("127.0.0.1 localhost\n::1 localhost\n")
	}
	_ = root.Remove("hosts")
	for name, text := range map[string]string{
		"hosts": strings.TrimRight(string(hosts), "\n") + "\n127.0.0.1 " + buildUser + "\n",
		"group": buildUser + ":x:" + buildID + ":\nnogroup:x:65534:\n",
		// Files are mounted on these.
		"passwd": "", "resolv.conf": "",
	} {
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, point := range e.points {
		if err := makePoint(root, point); err != nil {
			return err
		}
	}
	return nil
}

// copyEtcFile copies what one file says now, if it is still there.
func copyEtcFile(root *os.Root, f etcFile) error {
	from, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.OpenFile(f.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.info.Mode().Perm()&0o555|0o400)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// makePoint makes something of the kind of /etc/<name> to mount it on.
func makePoint(root *os.Root, name string) error {
	if _, err := root.Stat(name); err == nil {
		return nil
	}
	info, err := os.Stat(filepath.Join("/etc", name))
	if err != nil {
		return err
	}
	if info.IsDir() {
		return root.MkdirAll(name, 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return root.WriteFile(name, nil, 0o644)
}
