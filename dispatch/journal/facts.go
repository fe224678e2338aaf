package journal

import (
	"context"
	"encoding/json"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// maxPaths is how many bytes of JSON the paths of one commit may have. Those of
// a larger one are not remembered: routes are held against all paths or none.
const maxPaths = 64 << 10

// remember keeps what a delivery says of commits, and whose they are. What is
// known stays: a commit never changes, only how much of it was told.
func (x *expanding) remember() error {
	told := make(map[string]bool, len(x.Learned))
	for i := range x.Learned {
		c := &x.Learned[i]
		var paths any
		if c.PathsKnown && size(c.Paths) <= maxPaths {
			text, err := json.Marshal(c.Paths)
			if err != nil {
				return err
			}
			if len(text) <= maxPaths {
				paths = string(text)
			}
		}
		if paths == nil && !c.KnowsMessage() {
			continue
		}
		told[c.SHA] = true
		_, err := x.c.exec(`INSERT INTO commits (source, repository, sha, message, message_known, author, author_email, url, paths, known_at, own, fork)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha, repository, source) DO UPDATE SET
				message = iif(message_known, message, excluded.message), message_known = max(message_known, excluded.message_known),
				author = iif(author = '', excluded.author, author), author_email = iif(author_email = '', excluded.author_email, author_email),
				url = iif(url = '', excluded.url, url), paths = coalesce(paths, excluded.paths),
				own = max(own, excluded.own), fork = max(fork, excluded.fork)
			WHERE message_known < excluded.message_known OR paths IS NULL AND excluded.paths IS NOT NULL OR own < excluded.own OR fork < excluded.fork`,
			x.Source, x.Repository, c.SHA, c.Message, c.KnowsMessage(), c.Author, c.AuthorEmail, c.URL, paths, millis(x.At), !x.Fork, x.Fork)
		if err != nil {
			return err
		}
	}
	for _, sha := range x.Commits {
		if told[sha] {
			continue
		}
		_, err := x.c.exec(`INSERT INTO commits (source, repository, sha, message, message_known, author, author_email, url, known_at, own, fork)
			VALUES (?, ?, ?, '', 0, '', '', '', ?, ?, ?) ON CONFLICT (sha, repository, source) DO UPDATE SET
				own = max(own, excluded.own), fork = max(fork, excluded.fork)
			WHERE own < excluded.own OR fork < excluded.fork`,
			x.Source, x.Repository, sha, millis(x.At), !x.Fork, x.Fork)
		if err != nil {
			return err
		}
	}
	return nil
}

// size is how many bytes paths take at least as JSON.
func size(paths []string) (n int) {
	for _, p := range paths {
		n += len(p) + len(`"",`)
	}
	return n
}

const commitsQuery = `SELECT sha, message, message_known, author, author_email, url, paths FROM json_each(?1) w
	JOIN commits ON sha = w.value AND repository = ?2 AND source = ?3 WHERE message_known OR paths IS NOT NULL`

// KnownCommits implements [dispatch.Reader].
func (j *SQLite) KnownCommits(ctx context.Context, source, repository string, shas []string) (map[string]event.Commit, error) {
	wanted, err := json.Marshal(shas)
	if err != nil {
		return nil, err
	}
	known := map[string]event.Commit{}
	err = j.read(ctx, func(s scan) error {
		var c event.Commit
		var paths []byte
		if err := s(&c.SHA, &c.Message, &c.MessageKnown, &c.Author, &c.AuthorEmail, &c.URL, &paths); err != nil {
			return err
		}
		if c.PathsKnown = paths != nil; c.PathsKnown {
			if err := json.Unmarshal(paths, &c.Paths); err != nil {
				return err
			}
		}
		known[c.SHA] = c
		return nil
	}, commitsQuery, string(wanted), repository, source)
	return known, err
}

const holdersQuery = `SELECT source, repository, own FROM commits WHERE sha = ? AND (own OR fork)`

// Holders implements [dispatch.Reader].
func (j *SQLite) Holders(ctx context.Context, sha string) ([]dispatch.Holder, error) {
	var holders []dispatch.Holder
	err := j.read(ctx, func(s scan) error {
		var h dispatch.Holder
		err := s(&h.Source, &h.Repository, &h.Own)
		holders = append(holders, h)
		return err
	}, holdersQuery, sha)
	return holders, err
}

// facts removes what was learned of commits and refs before the given
// time, a step of it.
func (p *pruning) facts(c *conn) error {
	gone, err := p.walk(c, `SELECT seq, known_at < ?2, known_at FROM commits WHERE seq > ?1 ORDER BY seq LIMIT ?3`, &p.cursor.fact)
	if err != nil || p.more {
		return err
	}
	for _, seq := range gone {
		if _, err := c.exec(`DELETE FROM commits WHERE seq = ?`, seq); err != nil {
			return err
		}
	}
	n, err := c.exec(`DELETE FROM tips WHERE (source, repository, ref) IN
		(SELECT source, repository, ref FROM tips WHERE moved_at < ? ORDER BY moved_at LIMIT ?)`, p.before, int64(p.size))
	p.removed = len(gone) + int(n)
	return err
}
