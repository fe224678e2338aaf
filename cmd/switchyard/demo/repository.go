// Package demo makes a real bare repository with a small project and pushes to
// it, so that a first-time user can watch commits become executions.
package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository is a bare repository and a clone that pushes to it.
type Repository struct {
	// Bare is the path of the bare repository, where the hook belongs.
	Bare string
	work string
}

// Push is one git push of the demo, with the commits it brings.
type Push struct {
	Branch string
	// Commits are oldest first.
	Commits []Commit
	// Says tells a person what this push shows.
	Says string
}

// Commit is one commit of a push.
type Commit struct{ SHA, Title string }

// The project: prices in cents, and a test that really computes. Only git and
// a POSIX shell are needed to build it.
const (
	buildspec = `version: 0.2

env:
  exported-variables: [CHECKED]

phases:
  build:
    commands:
      - echo "testing $CODEBUILD_RESOLVED_SOURCE_VERSION for ${ENVIRONMENT:-no environment}"
      - . ./price.sh
      - . ./test.sh
`
	price = `# total PRICE COUNT prints the price of COUNT pieces, in cents.
total() { echo $(($1 * $2)); }
`
	brokenPrice = `# total PRICE COUNT prints the price of COUNT pieces, in cents.
total() { echo $(($1 + $2)); }
`
	suite = `# Compares total() with repeated addition.
CHECKED=0
price=1
while [ $price -le 120 ]; do
  sum=0
  count=0
  while [ $count -lt 25 ]; do
    got=$(total $price $count)
    if [ "$got" -ne "$sum" ]; then
      echo "total $price $count is $got, want $sum"
      exit 1
    fi
    CHECKED=$((CHECKED + 1))
    sum=$((sum + price))
    count=$((count + 1))
  done
  price=$((price + 1))
done
echo "$CHECKED totals are right"
`
)

// NewRepository makes dir/shop.git and a clone of it with a first commit on
// main, not yet pushed.
func NewRepository(ctx context.Context, dir string) (*Repository, error) {
	r := &Repository{Bare: filepath.Join(dir, "shop.git"), work: filepath.Join(dir, "shop")}
	if err := os.MkdirAll(r.work, 0o755); err != nil {
		return nil, err
	}
	if _, err := git(ctx, dir, "init", "--quiet", "--bare", "--initial-branch=main", r.Bare); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"remote", "add", "origin", r.Bare},
	} {
		if _, err := git(ctx, r.work, args...); err != nil {
			return nil, err
		}
	}
	files := map[string]string{"buildspec.yml": buildspec, "price.sh": price, "test.sh": suite}
	return r, r.commit(ctx, "Sell things", files)
}

// Pushes pushes, one after the other, what the demo shows, and calls pushed
// after each.
func (r *Repository) Pushes(ctx context.Context, pushed func(Push)) error {
	steps := []struct {
		branch, says string
		changes      []change
	}{
		{"main", "the first commit", nil},
		{"feature/search", "four commits in one push, A3 broken on purpose", []change{
			{"A1: search by name", map[string]string{"search.sh": "# by name\n"}},
			{"A2: search by price", map[string]string{"search.sh": "# by name, by price\n"}},
			{"A3: simplify total", map[string]string{"price.sh": brokenPrice}},
			{"A4: repair total", map[string]string{"price.sh": price}},
		}},
		{"hotfix/rounding", "two commits on acceptance, where one runs at a time", []change{
			{"B1: round half up", map[string]string{"round.sh": "# half up\n"}},
			{"B2: round half to even", map[string]string{"round.sh": "# half to even\n"}},
		}},
		{"feature/dark-mode", "one more branch, at the same time", []change{
			{"C1: dark mode", map[string]string{"theme.sh": "theme=dark\n"}},
		}},
	}
	for _, s := range steps {
		p := Push{Branch: s.branch, Says: s.says}
		from := "main"
		if s.branch != "main" {
			if _, err := git(ctx, r.work, "switch", "--quiet", "--create", s.branch, "main"); err != nil {
				return err
			}
		} else {
			from = ""
		}
		for _, c := range s.changes {
			if err := r.commit(ctx, c.message, c.files); err != nil {
				return err
			}
		}
		var err error
		if p.Commits, err = r.newCommits(ctx, from); err != nil {
			return err
		}
		if _, err := git(ctx, r.work, "push", "--quiet", "origin", s.branch); err != nil {
			return err
		}
		pushed(p)
	}
	return nil
}

type change struct {
	message string
	files   map[string]string
}

func (r *Repository) commit(ctx context.Context, message string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.work, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if _, err := git(ctx, r.work, "add", "--all"); err != nil {
		return err
	}
	_, err := git(ctx, r.work, "commit", "--quiet", "--message", message)
	return err
}

// newCommits lists the commits of HEAD that since does not have, oldest first.
func (r *Repository) newCommits(ctx context.Context, since string) ([]Commit, error) {
	args := []string{"log", "--reverse", "--format=%H %s", "HEAD"}
	if since != "" {
		args = append(args, "^"+since)
	}
	out, err := git(ctx, r.work, args...)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for line := range strings.Lines(out) {
		sha, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		commits = append(commits, Commit{sha, title})
	}
	return commits, nil
}

// git runs one git command away from the settings of whoever runs the demo: no
// signing, no templates, no hooks of theirs.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada Lovett", "GIT_AUTHOR_EMAIL=ada@acme.example",
		"GIT_COMMITTER_NAME=Ada Lovett", "GIT_COMMITTER_EMAIL=ada@acme.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
