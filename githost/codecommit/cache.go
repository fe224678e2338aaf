package codecommit

import "sync"

// cacheBytes is about how much the commits that are remembered take.
const cacheBytes = 64 << 20

// node is a commit, as far as it takes part in a walk.
type node struct {
	sha     string
	parents []string
	// date is when it was committed, in Unix seconds, by the committer's clock.
	date                   int64
	message, author, email string
}

func (n *node) bytes() int {
	return 200 + 60*len(n.parents) + len(n.message) + len(n.author) + len(n.email)
}

// commitCache remembers commits, which never change: a walk that was
// interrupted goes on where it was. It forgets those that were not looked at
// for longest, roughly. It is safe for concurrent use.
type commitCache struct {
	mu    sync.Mutex
	limit int
	// young takes what is put in and looked at; once it is half of the limit,
	// it becomes old, and what was old is forgotten.
	young, old map[[2]string]*node
	size       int
}

func newCommitCache(limit int) *commitCache {
	return &commitCache{limit: limit, young: map[[2]string]*node{}}
}

func (c *commitCache) get(repository, sha string) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]string{repository, sha}
	if n := c.young[key]; n != nil {
		return n
	}
	n := c.old[key]
	if n != nil {
		c.add(key, n)
	}
	return n
}

func (c *commitCache) put(repository string, n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add([2]string{repository, n.sha}, n)
}

func (c *commitCache) add(key [2]string, n *node) {
	if c.young[key] != nil {
		return
	}
	if c.size += n.bytes(); c.size > c.limit/2 {
		c.old, c.young, c.size = c.young, map[[2]string]*node{}, n.bytes()
	}
	c.young[key] = n
}
