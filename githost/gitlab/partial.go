package gitlab

import (
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"
)

const (
	// maxPartial is how many unfinished lists are kept, and keptFor for how long.
	maxPartial = 16
	keptFor    = 10 * time.Minute
)

// partial is a list that a call has read up to a page.
type partial struct {
	commits []*gl.Commit
	page    int64
	at      time.Time
}

// resume takes up a list, or begins it.
func (c *Client) resume(key string) ([]*gl.Commit, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, kept := c.partial[key]
	delete(c.partial, key)
	if !kept || c.now().Sub(p.at) > keptFor {
		return nil, 1
	}
	return p.commits, p.page
}

// suspend leaves a list to the next call. Where too many are kept, the oldest
// goes.
func (c *Client) suspend(key string, commits []*gl.Commit, page int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partial) >= maxPartial {
		oldest := ""
		for k, p := range c.partial {
			if oldest == "" || p.at.Before(c.partial[oldest].at) {
				oldest = k
			}
		}
		delete(c.partial, oldest)
	}
	c.partial[key] = partial{commits, page, c.now()}
}
