// Package gitnotes tells commit statuses on a plain git server, where nothing
// else can show them: as notes under refs/notes/switchyard in the repository
// itself. A person sees them with
//
//	git fetch origin refs/notes/switchyard:refs/notes/switchyard
//	git log --notes=switchyard
//
// A commit's note has one line for each route, with its latest state: state,
// context, description and URL, with tabs between.
package gitnotes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/git"
)

const (
	// ref is the short name, as git log --notes takes it.
	ref = "switchyard"
	// maxField bounds each part of a line, in characters.
	maxField = 500
)

// Config is what an operator sets.
type Config struct {
	// Repositories maps a repository's full name to its path on this machine:
	// of a bare repository, or of one with a .git directory.
	Repositories map[string]string
}

// Poster is a [status.Poster] for repositories on this machine.
//
// Each repository's notes are written by one call at a time, since git reads
// and replaces the whole notes tree. Pushes to other refs are not in its way:
// git locks refs one by one, and a lock that is held is an error that the next
// try overcomes.
type Poster struct {
	repos map[string]*repository
}

type repository struct {
	gitDir string
	// turn is held while a note is written; a channel, so that waiting for it
	// ends with ctx.
	turn chan struct{}
}

var _ status.Poster = (*Poster)(nil)

// New checks that git and every repository are there.
func New(cfg Config) (*Poster, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("git notes: %w", err)
	}
	p := &Poster{repos: make(map[string]*repository, len(cfg.Repositories))}
	byDir := map[string]*repository{}
	for name, path := range cfg.Repositories {
		dir, err := githost.Dir(path)
		if err != nil {
			return nil, fmt.Errorf("git notes for repository %s: %w", name, err)
		}
		if byDir[dir] == nil {
			byDir[dir] = &repository{gitDir: dir, turn: make(chan struct{}, 1)}
		}
		p.repos[name] = byDir[dir]
	}
	return p, nil
}

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// Limits lets two repositories be written to at once: each note costs a few
// processes of this machine.
func (p *Poster) Limits() status.Limits { return status.Limits{Concurrent: 2} }

// Post writes s into the commit's note. Writing what is there already changes
// nothing.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	repo, ok := p.repos[s.Repository]
	if !ok {
		return &dispatch.PermanentError{Err: fmt.Errorf("git notes: no path is configured for repository %q", s.Repository)}
	}
	if !objectID.MatchString(s.SHA) {
		return &dispatch.PermanentError{Err: fmt.Errorf("git notes: %q is not a commit ID", s.SHA)}
	}
	select {
	case repo.turn <- struct{}{}:
		defer func() { <-repo.turn }()
	case <-ctx.Done():
		return fmt.Errorf("git notes for %s: %w", s.SHA, ctx.Err())
	}
	if err := repo.write(ctx, s, targetURL); err != nil {
		return fmt.Errorf("git notes for %s: %w", s.SHA, err)
	}
	return nil
}

func (r *repository) write(ctx context.Context, s dispatch.Status, targetURL string) error {
	// The ID goes in by standard input; git answers "<id> missing" and ends
	// well, so that a missing commit is told from a broken repository.
	kind, err := r.git(ctx, s.SHA+"\n", "cat-file", "--batch-check=%(objecttype)")
	if err != nil {
		return err
	}
	if strings.TrimSpace(kind) != "commit" {
		return &dispatch.PermanentError{Err: errors.New("the repository has no such commit")}
	}
	note, err := r.git(ctx, "", "notes", "--ref="+ref, "show", s.SHA)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		note, err = "", nil // the commit has no note yet
	}
	if err != nil {
		return err
	}
	merged := merge(note, s, targetURL)
	if merged == note {
		return nil
	}
	_, err = r.git(ctx, merged, "notes", "--ref="+ref, "add", "--force", "--file=-", s.SHA)
	return err
}

// merge puts the status's line in the place of its context's earlier one, or
// at the end.
func merge(note string, s dispatch.Status, targetURL string) string {
	name := status.Line(s.Context, maxField)
	line := string(s.State) + "\t" + name + "\t" + status.Line(s.Description, maxField)
	if targetURL != "" {
		line += "\t" + status.Line(targetURL, maxField)
	}
	line = strings.TrimRight(line, " \t")
	var lines []string
	if note = strings.TrimRight(note, "\n"); note != "" {
		lines = strings.Split(note, "\n")
	}
	at := slices.IndexFunc(lines, func(l string) bool {
		fields := strings.SplitN(l, "\t", 3)
		return len(fields) > 1 && fields[1] == name
	})
	if at < 0 {
		lines = append(lines, line)
	} else {
		lines[at] = line
	}
	return strings.Join(lines, "\n") + "\n"
}

// git runs git on the repository and returns its standard output. Its error
// carries what git said.
func (r *repository) git(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + r.gitDir}, args...)...)
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("git %s: %w", args[0], ctx.Err())
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, status.Line(strings.TrimSpace(stderr.String()), maxField))
	}
	return stdout.String(), nil
}

// environment is the process's own, without what would point git at another
// repository (as inside a hook), and with an identity to commit notes under.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_")
	})
	return append(env,
		"LC_ALL=C",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Switchyard", "GIT_AUTHOR_EMAIL=switchyard@localhost",
		"GIT_COMMITTER_NAME=Switchyard", "GIT_COMMITTER_EMAIL=switchyard@localhost",
	)
}
