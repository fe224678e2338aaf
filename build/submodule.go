//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// maxSubmoduleDepth and maxSubmodules bound how deep submodules have submodules,
// and how many a build has in all.
const (
	maxSubmoduleDepth = 10
	maxSubmodules     = 200
)

// CheckSubmodule checks an entry of [Project.Submodules].
func CheckSubmodule(entry string) error {
	rm, err := parseRemote(entry)
	switch {
	case err != nil:
		return err
	case rm.user != "":
		return fmt.Errorf("%s comes with a user or password; its source has a token", redact(entry))
	case strings.Contains(rm.host, "*"):
		return fmt.Errorf("%q has * in the name of the host", entry)
	}
	_, err = path.Match(rm.key(), "")
	if err != nil {
		return fmt.Errorf("%q: %w", entry, err)
	}
	return nil
}

// checkoutSubmodules checks out the submodules of a commit whose own files are
// at dir, and theirs, each from a mirror of its own. It is not git submodule
// update: that would take whatever URL the commit says with what this machine
// can reach, and the parent's credentials to all of a host.
func (s *session) checkoutSubmodules(ctx context.Context, parent *source, g git, dir string, depth int) error {
	links, err := parent.links(ctx, g)
	if err != nil || len(links) == 0 {
		return err
	}
	if depth > maxSubmoduleDepth {
		return fmt.Errorf("submodules have submodules more than %d deep", maxSubmoduleDepth)
	}
	urls, err := parent.submoduleURLs(ctx, g)
	if err != nil {
		return err
	}
	for _, link := range links {
		if s.submodules++; s.submodules > maxSubmodules {
			return fmt.Errorf("there are more than %d submodules", maxSubmodules)
		}
		if err := s.checkoutSubmodule(ctx, link, urls, g, dir, depth); err != nil {
			return fmt.Errorf("submodule %q: %w", link.path, err)
		}
	}
	// Git's own commands about submodules pass over those that it was not told of.
	_, err = g.output(ctx, dir, "submodule", "--quiet", "init")
	return err
}

func (s *session) checkoutSubmodule(ctx context.Context, link gitlink, urls map[string]string, g git, dir string, depth int) error {
	said, ok := urls[link.path]
	if !ok {
		return errors.New(".gitmodules has no URL for it")
	}
	said, err := resolveURL(g.remote.url, said)
	if err != nil {
		return err
	}
	rm, err := parseRemote(said)
	if err != nil {
		return err
	}
	if rm.user != "" || !lists(s.req.submodules, rm) {
		return fmt.Errorf("%s is not one of engine.embedded.projects.%s.submodules", redact(said), s.req.project)
	}
	at := filepath.Join(dir, filepath.FromSlash(link.path))
	// Git made an empty directory there. Nothing of the commit may lead it
	// elsewhere.
	if real, err := filepath.EvalSymlinks(at); err != nil || real != at {
		return errors.Join(errors.New("it has no directory of its own in the checkout"), err)
	}
	src, g, err := s.fetch(ctx, git{group: s.group, durable: s.h.durable}, rm, version{commit: link.commit}, true)
	if err != nil {
		return fmt.Errorf("%s: %w", redact(said), err)
	}
	if err := s.checkout(ctx, src, g, at); err != nil {
		return fmt.Errorf("check out commit %s: %w", src.commit, err)
	}
	s.log.note("checked out commit %s of %s as submodule %q", src.commit, redact(said), link.path)
	return s.checkoutSubmodules(ctx, src, g, at, depth+1)
}

// gitlink is a submodule's place in a commit.
type gitlink struct{ path, commit string }

// links are the submodules of a commit.
func (s *source) links(ctx context.Context, g git) ([]gitlink, error) {
	listing, err := g.output(ctx, s.mirror.dir, "ls-tree", "-r", "-z", s.commit)
	if err != nil {
		return nil, err
	}
	var links []gitlink
	for entry := range strings.SplitSeq(strings.TrimSuffix(listing, "\x00"), "\x00") {
		about, name, ok := strings.Cut(entry, "\t")
		if f := strings.Fields(about); ok && len(f) >= 3 && f[1] == "commit" {
			links = append(links, gitlink{name, f[2]})
		}
	}
	return links, nil
}

// submoduleURLs are the URLs that .gitmodules of a commit gives, by path.
func (s *source) submoduleURLs(ctx context.Context, g git) (map[string]string, error) {
	listing, err := g.output(ctx, s.mirror.dir, "config", "-z", "--no-includes", "--blob", s.commit+":.gitmodules", "--list")
	if err != nil {
		return nil, fmt.Errorf(".gitmodules: %w", err)
	}
	paths, urls := map[string]string{}, map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(listing, "\x00"), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		key, ok := strings.CutPrefix(key, "submodule.")
		if !ok {
			continue
		}
		if name, ok := strings.CutSuffix(key, ".path"); ok {
			paths[name] = value
		} else if name, ok := strings.CutSuffix(key, ".url"); ok {
			urls[name] = value
		}
	}
	byPath := map[string]string{}
	for name, at := range paths {
		if u, ok := urls[name]; ok {
			byPath[strings.TrimSuffix(at, "/")] = u
		}
	}
	return byPath, nil
}

// resolveURL makes a submodule's URL that begins with ./ or ../ absolute: it is
// relative to that of the repository it is in.
func resolveURL(parent, said string) (string, error) {
	if !strings.HasPrefix(said, "./") && !strings.HasPrefix(said, "../") {
		return said, nil
	}
	base, at := "", parent
	if u, err := url.Parse(parent); err == nil && hasScheme(parent) {
		at = u.EscapedPath()
		base = strings.TrimSuffix(parent, at)
	} else if !filepath.IsAbs(parent) { // host:path
		host, p, _ := strings.Cut(parent, ":")
		base, at = host+":", p
	}
	at = strings.TrimSuffix(at, "/")
	for {
		if rest, ok := strings.CutPrefix(said, "./"); ok {
			said = rest
			continue
		}
		rest, ok := strings.CutPrefix(said, "../")
		if !ok {
			break
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return "", fmt.Errorf("URL %q leads out of %s", said, redact(parent))
		}
		said, at = rest, at[:i]
	}
	return base + at + "/" + strings.TrimSuffix(said, "/"), nil
}
