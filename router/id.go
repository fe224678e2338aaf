package router

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

const (
	// maxID leaves room in a Step Functions name, 80 characters of
	// [0-9A-Za-z_-], for the suffix of a repeated attempt, such as -r12.
	maxID = 74

	shaInID  = 12
	hashInID = 16 // 64 bits in hex
	slugInID = maxID - shaInID - hashInID - 3
)

// identity is the part of a request's ID that its commits have in common.
type identity struct {
	repo, route string // slugs
	// seed is what the hash begins with: source, repository, route and, for
	// the end of a branch or pull request, which one.
	seed []byte
}

// newIdentity names requests <repo>-<sha>-<route>-<hash>. The slugs are for
// people; the hash alone keeps apart what they make equal. ending is empty for
// a build, so that a push and a pull request with the same commit are one.
func newIdentity(source, repository, route, ending string) identity {
	id := identity{route: slug(route, slugInID/2)}
	// The repository may use what the route leaves over. Its owner goes first.
	room := slugInID - len(id.route)
	id.repo = slug(repository, len(repository)+10)
	if len(id.repo) > room {
		_, name := splitName(repository)
		id.repo = slug(name, room)
	}
	id.seed = make([]byte, 0, len(source)+len(repository)+len(route)+len(ending)+16)
	for _, s := range []string{source, repository, route, ending} {
		id.seed = binary.AppendUvarint(id.seed, uint64(len(s)))
		id.seed = append(id.seed, s...)
	}
	return id
}

// of returns the ID for a commit, whose object name must be valid.
func (id *identity) of(sha string) string {
	var room [256]byte
	sum := sha256.Sum256(append(append(room[:0], id.seed...), sha...))
	name := append(room[:0], id.repo...)
	name = append(name, '-')
	name = append(name, sha[:shaInID]...)
	name = append(name, '-')
	name = append(name, id.route...)
	name = append(name, '-')
	name = hex.AppendEncode(name, sum[:hashInID/2])
	return string(name)
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
