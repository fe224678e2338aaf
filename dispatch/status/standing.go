package status

import (
	"slices"
	"time"
)

// standing is what a lane knows of one repository.
type standing struct {
	// taken is true once the host has taken a status of it from the present
	// poster. Until then it is told one thing at a time, so that a repository
	// that cannot be written to costs one call to find out, not a volley.
	taken bool
	// misses are the refusals and failures since the host last took something.
	misses int
	// until is when it is told something again; zero for now.
	until time.Time
	// flying counts the posts under way.
	flying int
}

// miss notes a post that came to nothing. The first is not held against the
// repository, since it may be the matter of one commit; from the second on it
// is left alone, for longer each time.
func (s *standing) miss(now time.Time, wait func(times int) time.Duration) time.Duration {
	s.misses++
	if s.misses == 1 {
		return 0
	}
	hold := wait(s.misses - 1)
	s.until = now.Add(hold)
	return hold
}

func (s *standing) held(now time.Time) bool { return s.until.After(now) }

// alone reports whether the repository is told one thing at a time.
func (s *standing) alone() bool { return !s.taken || s.misses > 0 }

// probes reports whether telling it anything is a probe.
func (s *standing) probes() bool { return s.misses > 1 }

// standings are a lane's repositories by full name.
type standings map[string]*standing

func (all standings) of(repository string) *standing {
	s := all[repository]
	if s == nil {
		s = &standing{}
		all[repository] = s
	}
	return s
}

// closed lists the repositories that are told nothing at the moment: they are
// held back, or have a probe under way, or would need one while none may be
// sent, or are unknown while nothing unknown is tried.
func (all standings) closed(now time.Time, mayProbe, mayTry bool) []string {
	var names []string
	for name, s := range all {
		if s.held(now) || s.probes() && !mayProbe || s.alone() && (s.flying > 0 || !mayTry) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// held counts the repositories in trouble.
func (all standings) held(now time.Time) int {
	n := 0
	for _, s := range all {
		if s.held(now) {
			n++
		}
	}
	return n
}

// forget begins anew with all of them; what is under way stays counted.
func (all standings) forget() {
	for name, s := range all {
		if s.flying == 0 {
			delete(all, name)
			continue
		}
		*s = standing{flying: s.flying}
	}
}
