package journal

import (
	"context"
	"errors"
	"time"

	"switchyard/dispatch"
)

// act does what a command asks for, and records what came of it and what is
// said about that.
func (x *expanding) act() error {
	var outcomes []dispatch.Ignored
	for i := range x.Acts {
		a := &x.Acts[i]
		made, changes, err := do(x.c, a)
		if err != nil && !errors.Is(err, dispatch.ErrNotFound) && !errors.Is(err, dispatch.ErrFinished) && !errors.Is(err, dispatch.ErrUnfinished) && !errors.As(err, new(*dispatch.RefusedError)) {
			return err
		}
		x.changes = append(x.changes, changes...)
		outcomes = append(outcomes, dispatch.Acted(a, made, err))
	}
	x.ignored = append(x.ignored[:len(x.ignored):len(x.ignored)], outcomes...)
	if l := x.Labeled; l != nil {
		_, err := x.c.exec(`DELETE FROM answers WHERE source = ? AND repository = ? AND pull_request = ? AND unlabel = ? COLLATE NOCASE AND unlabel <> ''`, l.Source, l.Repository, int64(l.PullRequest), l.Unlabel)
		if err != nil {
			return err
		}
	}
	for i := range x.Answers {
		a := &x.Answers[i]
		_, err := x.c.insert(`INSERT INTO answers (delivery, source, repository, pull_request, comment, text, unlabel, head, due_at, wanted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			x.Delivery, a.Source, a.Repository, int64(a.PullRequest), a.Comment, dispatch.AnswerText(a.Text, outcomes), a.Unlabel, a.Head, max(1, millis(x.At)), millis(x.At))
		if err != nil {
			return err
		}
	}
	return nil
}

func do(c *conn, a *dispatch.Act) (made string, changes []dispatch.Change, err error) {
	if a.Again {
		return rerun(c, a.Execution, a.Reason, a.Resume)
	}
	if a.Decision != nil {
		_, _, err = decide(c, a.Decision)
		return "", nil, err
	}
	changes, err = requestStop(c, a.Execution, a.Stop)
	return "", changes, err
}

const (
	answersQuery = `SELECT seq, delivery, source, repository, pull_request, comment, text, unlabel, head, tries, wanted_at FROM answers
		WHERE due_at <= ? AND source NOT IN (SELECT value FROM json_each(?)) ORDER BY due_at, seq LIMIT ?`
	nextAnswerQuery = `SELECT due_at FROM answers WHERE due_at > ? ORDER BY due_at LIMIT 1`
)

// NextAnswers implements [dispatch.Answers].
func (j *SQLite) NextAnswers(ctx context.Context, now time.Time, limit int, except []string) ([]dispatch.Answer, time.Time, error) {
	out, err := leftOut(except)
	if err != nil {
		return nil, time.Time{}, err
	}
	var due []dispatch.Answer
	err = j.read(ctx, func(s scan) error {
		var a dispatch.Answer
		var wanted int64
		err := s(&a.Seq, &a.Delivery, &a.Source, &a.Repository, &a.PullRequest, &a.Comment, &a.Text, &a.Unlabel, &a.Head, &a.Tries, &wanted)
		a.WantedAt = timeOf(wanted)
		due = append(due, a)
		return err
	}, answersQuery, millis(now), out, limit)
	if err != nil || len(due) == limit {
		return due, time.Time{}, err
	}
	next, err := j.next(ctx, nextAnswerQuery, now)
	return due, next, err
}

// AnswerGiven implements [dispatch.Answers].
func (j *SQLite) AnswerGiven(ctx context.Context, seq int64) error {
	return j.do(ctx, func(c *conn) error {
		_, err := c.exec(`DELETE FROM answers WHERE seq = ?`, seq)
		return err
	})
}

// AnswerFailed implements [dispatch.Answers].
func (j *SQLite) AnswerFailed(ctx context.Context, seq int64, retryAt time.Time, reason string) error {
	return j.do(ctx, func(c *conn) error {
		_, err := c.exec(`UPDATE answers SET tries = tries + 1, due_at = ?, last_error = ? WHERE seq = ?`, max(1, millis(retryAt)), reason, seq)
		return err
	})
}
