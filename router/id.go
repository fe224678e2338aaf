package router

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

const (
	// maxID leaves room in a Step Functions name, 80 characters of
	// [0-9A-Za-z_-], for the suffix of a repeated attempt, such as -r12.
	maxID = 74

	shaInID  = 12
	hashInID = 16 // 64 bits in hex
	slugInID = maxID - shaInID - hashInID - 3
)

// identity names the requests that one route makes of one event:
// <repo>-<sha>-<route>-<hash>. The slugs are for people; the hash alone keeps
// apart what they make equal.
type identity struct {
	source, repository, route string
	// ending is empty for a build, so that a push and a pull request with the
	// same commit and environment are one request. For a teardown it says what
	// came to its end.
	ending string
	// merge is the commit that is built in the place of the head of a pull request,
	// empty for the head itself.
	merge string

	repoSlug, routeSlug string
	// seed is what the hash begins with: all of the identity but the commit.
	// former is the same without the environment, as it was before the
	// environment was part of the identity.
	seed, former []byte
	// names holds the text of all IDs, so that they share one allocation.
	names strings.Builder
}

// prepare makes room for n IDs. The fields before the blank line must be set.
func (id *identity) prepare(n int) {
	id.routeSlug = slug(id.route, slugInID/2)
	// The repository may use what the route leaves over. Its owner goes first.
	room := slugInID - len(id.routeSlug)
	id.repoSlug = slug(id.repository, len(id.repository)+10)
	if len(id.repoSlug) > room {
		_, name := splitName(id.repository)
		id.repoSlug = slug(name, room)
	}
	id.names.Grow(n * (len(id.repoSlug) + len(id.routeSlug) + shaInID + hashInID + 3))
}

// enter sets the environment of the IDs that follow.
func (id *identity) enter(environment string) {
	id.seed = appendSeed(id.seed[:0], id.source, id.repository, id.route, environment, id.ending)
	if id.merge != "" {
		id.seed = appendSeed(id.seed, "merge", id.merge)
	}
}

// in returns the ID for a commit, whose object name must be valid, in the
// environment that was entered last.
func (id *identity) in(sha string) string { return id.name(id.seed, sha) }

// before returns the ID that the commit had before the environment was part of
// the identity.
func (id *identity) before(sha string) string {
	if id.former == nil {
		id.former = appendSeed(nil, id.source, id.repository, id.route, id.ending)
	}
	return id.name(id.former, sha)
}

// appendSeed puts its parts behind one another so that no other parts give the
// same bytes.
func appendSeed(dst []byte, parts ...string) []byte {
	for _, s := range parts {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

func (id *identity) name(seed []byte, sha string) string {
	var room [512]byte
	sum := sha256.Sum256(append(append(room[:0], seed...), sha...))
	start := id.names.Len()
	id.names.WriteString(id.repoSlug)
	id.names.WriteByte('-')
	id.names.WriteString(sha[:shaInID])
	id.names.WriteByte('-')
	id.names.WriteString(id.routeSlug)
	id.names.WriteByte('-')
	id.names.Write(hex.AppendEncode(room[:0], sum[:hashInID/2]))
	return id.names.String()[start:]
}

// RouteOf finds the route that made a request, by what its input says of the commit,
// and is, which reports whether it has an ID; "" when it is none of these routes, or a
// teardown. merge is the commit that was built in the place of that, empty where none
// was.
func (r *Router) RouteOf(is func(id string) bool, source, repository, sha, merge, environment string) string {
	if !validSHA(sha) {
		return ""
	}
	for i := range r.routes {
		one := identity{source: source, repository: repository, route: r.routes[i].Name, merge: merge}
		one.prepare(1)
		one.enter(environment)
		if is(one.in(sha)) {
			return one.route
		}
	}
	return ""
}

// validSHA reports whether s is a full git object name, SHA-1 or SHA-256, and
// not the zeros that stand for none. Anything else could be an option to git.
func validSHA(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	zero := true
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}

// splitName splits owner/name; owner is empty where the host has none.
func splitName(full string) (owner, name string) {
	for i := len(full) - 1; i >= 0; i-- {
		if full[i] == '/' {
			return full[:i], full[i+1:]
		}
	}
	return "", full
}
