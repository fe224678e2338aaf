package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// files are those that a config was made from, each with a digest of what was
// read, so that a later change is told from a file that was only touched.
type files struct {
	names []string
	seen  map[string]sight
}

// sight is what a file was when it was read.
type sight struct {
	limit  int64
	digest [sha256.Size]byte
}

// file reads a file and remembers it, also when it cannot be read.
func (f *files) file(path string, limit int64) ([]byte, error) {
	data, err := readFile(path, limit)
	if f.seen == nil {
		f.seen = map[string]sight{}
	}
	if _, known := f.seen[path]; !known {
		f.names = append(f.names, path)
	}
	f.seen[path] = sight{limit, digestOf(data, err)}
	return data, err
}

// changed reports whether a file's content is no longer what was read.
func (f *files) changed() bool {
	return slices.ContainsFunc(f.names, func(path string) bool {
		was := f.seen[path]
		return digestOf(readFile(path, was.limit)) != was.digest
	})
}

// keep adds the files of old that were not read this time, as they are now.
func (f *files) keep(old *files) {
	for _, path := range old.names {
		if _, known := f.seen[path]; !known {
			// Only its digest is wanted; an error has one too.
			_, _ = f.file(path, old.seen[path].limit)
		}
	}
}

func digestOf(data []byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte("error: " + err.Error()))
	}
	return sha256.Sum256(data)
}

// readFile reads a regular file of at most limit bytes. Its errors name the
// path.
func readFile(path string, limit int64) ([]byte, error) {
	// Asked first: opening a named pipe waits for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, shortError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, shortError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, shortError(path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %v", path, Size(limit))
	}
	return data, nil
}

// shortError drops the name of the system call: the reader wants the file.
func shortError(path string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
