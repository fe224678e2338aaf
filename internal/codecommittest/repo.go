package codecommittest

import (
	"testing"

	"switchyard/internal/gittest"
)

// Repo is a bare repository of git's own.
type Repo struct {
	*gittest.Repo
	Name string
	// DefaultBranch is the short name of one.
	DefaultBranch string

	t testing.TB
}

// NewRepo makes an empty repository. It is removed when the test ends.
func NewRepo(t testing.TB, name string) *Repo {
	t.Helper()
	return &Repo{Repo: gittest.New(t), Name: name, DefaultBranch: "main", t: t}
}
